//! How a receiver knows that a callback is from the shop: what Standard Webhooks asks for, in forty lines.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A message that is older, or further in the future, is not taken: somebody may be sending it again.
const TOLERANCE_SECONDS: i64 = 300;

/// Whether a callback is from the shop. `secret` is the `webhook_secret` that came with the token; `id`,
/// `timestamp` and `signatures` are the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`; `body`
/// is the body as it came, not parsed and written again; `now` is in seconds since 1970.
pub fn is_from_the_shop(
    secret: &str,
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now: i64,
) -> bool {
    let Some(key) = secret.strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok()) else {
        return false;
    };
    let Ok(sent) = timestamp.parse::<i64>() else { return false };
    if now.abs_diff(sent) > TOLERANCE_SECONDS.unsigned_abs() {
        return false;
    }
    // Several while the shop changes its keys: one that fits is enough.
    signatures.split(' ').any(|signature| {
        let signature = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
        let Some((signature, mut mac)) = signature.zip(Hmac::<Sha256>::new_from_slice(&key).ok()) else {
            return false;
        };
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        // Compares in a time that tells nothing.
        mac.verify_slice(&signature).is_ok()
    })
}
