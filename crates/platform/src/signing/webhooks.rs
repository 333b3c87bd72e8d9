//! Signatures of callbacks, as Standard Webhooks has them: HMAC-SHA256 over `id.timestamp.body`, with a secret
//! that only we and one customer know.
//!
//! A customer's secret is not stored but made from ours and the customer's id: whoever reads the database can
//! sign nothing. While `SECRET_KEYS` has several, a callback carries a signature by each, so that a receiver
//! goes on with the secret that it has until the key behind it is dropped.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac;

use crate::signing::SecretKeys;
use crate::signing::keys::mac;
use uuid::Uuid;

/// Keeps a secret from being the signature of anything else that the same keys sign.
const PURPOSE: &str = "webhook/v1";

/// What a customer verifies callbacks with.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

impl WebhookSecret {
    /// The secret as text, for the one answer that gives it to the customer: `whsec_` and base64.
    pub fn reveal(&self) -> String {
        format!("whsec_{}", STANDARD.encode(&self.0))
    }

    /// One signature: `v1,` and base64.
    fn signature(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
        let signature = mac(&self.0, &signed).map(|mac| mac.finalize().into_bytes());
        format!("v1,{}", signature.map(|bytes| STANDARD.encode(bytes)).unwrap_or_default())
    }
}

/// Without the secret.
impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

impl SecretKeys {
    /// What a customer verifies callbacks with, by the key that signs now.
    pub fn webhook_secret(&self, customer: Uuid) -> WebhookSecret {
        WebhookSecret(self.sign(&canonical(customer)))
    }

    /// The signatures of a callback to a customer, by every key, separated by spaces: what goes into
    /// `webhook-signature`.
    pub fn sign_webhook(&self, customer: Uuid, id: &str, timestamp: i64, body: &[u8]) -> String {
        let text = canonical(customer);
        let secrets = self.sign_with_each(&text).map(WebhookSecret);
        let signatures: Vec<String> = secrets.map(|secret| secret.signature(id, timestamp, body)).collect();
        signatures.join(" ")
    }
}

fn canonical(customer: Uuid) -> Vec<u8> {
    format!("{PURPOSE}\n{customer}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "old-old-old-old-old-old-old-old-old";
    const NEW: &str = "new-new-new-new-new-new-new-new-new";

    fn keys(text: &str) -> SecretKeys {
        text.parse().unwrap()
    }

    #[test]
    fn a_signature_is_the_one_of_the_standard() {
        // The example of the specification's own libraries.
        let secret = WebhookSecret(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let signature =
            secret.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_customer_has_a_secret_of_their_own_that_does_not_change() {
        let (ada, bob) = (Uuid::now_v7(), Uuid::now_v7());
        assert_eq!(keys(NEW).webhook_secret(ada), keys(NEW).webhook_secret(ada));
        assert_ne!(keys(NEW).webhook_secret(ada), keys(NEW).webhook_secret(bob));
        let text = keys(NEW).webhook_secret(ada).reveal();
        let bytes = STANDARD.decode(text.strip_prefix("whsec_").unwrap()).unwrap();
        assert!((24..=64).contains(&bytes.len()), "what the standard asks for");
        assert!(!format!("{:?}", keys(NEW).webhook_secret(ada)).contains(&text[6..]));
    }

    #[test]
    fn while_keys_change_a_callback_is_signed_by_each() {
        let ada = Uuid::now_v7();
        let both = keys(&format!("{NEW},{OLD}"));
        let signed = both.sign_webhook(ada, "id", 7, b"{}");
        let by = |key: &str| keys(key).webhook_secret(ada).signature("id", 7, b"{}");
        assert_eq!(signed, format!("{} {}", by(NEW), by(OLD)));
        assert_eq!(both.webhook_secret(ada), keys(NEW).webhook_secret(ada));
    }
}
