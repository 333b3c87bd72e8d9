// The order form: the total as one types. The server computes it again and decides.

const form = document.getElementById("order-form");

/** As the server writes it. */
function money(cents) {
  const whole = String(Math.floor(cents / 100)).replace(/\B(?=(\d{3})+$)/g, ",");
  return `€\u00a0${whole}.${String(cents % 100).padStart(2, "0")}`;
}

function total() {
  let cents = 0;
  for (const row of form.querySelectorAll(".row")) {
    if (!row.querySelector(".row-tick").checked) continue;
    const quantity = Number(row.querySelector("[inputmode=numeric]").value);
    const price = Number(row.querySelector("select").selectedOptions[0]?.dataset.cents);
    if (Number.isInteger(quantity) && quantity > 0) cents += quantity * price;
  }
  return cents;
}

function show() {
  document.getElementById("total-amount").textContent = money(total());
}

if (form) {
  document.getElementById("total").hidden = false;
  form.addEventListener("input", show);
  // Going back in history restores what was typed, after this script has run.
  window.addEventListener("pageshow", show);
  show();
}
