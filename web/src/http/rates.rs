//! How much each may ask for in a minute. The buckets are in this process: behind `n` web processes a
//! customer may have up to `n` times as much, which is no harm.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use shared::domain::CustomerId;

use super::error::ApiError;

/// New customers from one address.
const TOKENS_A_MINUTE: NonZeroU32 = NonZeroU32::new(20).unwrap();

/// Uploads of one customer.
const UPLOADS_A_MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();

/// Orders of one customer.
const ORDERS_A_MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();

/// Tasks that one machine starts.
const TASKS_A_MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();

/// Logins of operators, from one address and under one name.
const LOGINS_A_MINUTE: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// After so many questions, those who were quiet for long enough are forgotten.
const SWEEP_EVERY: u32 = 1024;

/// All limits.
pub struct RateLimits {
    on: bool,
    tokens: Limit<IpAddr>,
    uploads: Limit<CustomerId>,
    orders: Limit<CustomerId>,
    tasks: Limit<String>,
    logins_from: Limit<IpAddr>,
    logins_as: Limit<String>,
}

impl RateLimits {
    /// Fresh limits; switched off they let everything through.
    pub fn new(on: bool) -> Self {
        Self {
            on,
            tokens: Limit::new(TOKENS_A_MINUTE),
            uploads: Limit::new(UPLOADS_A_MINUTE),
            orders: Limit::new(ORDERS_A_MINUTE),
            tasks: Limit::new(TASKS_A_MINUTE),
            logins_from: Limit::new(LOGINS_A_MINUTE),
            logins_as: Limit::new(LOGINS_A_MINUTE),
        }
    }

    /// A new customer from this address. (The peer's address: headers can be made up.)
    ///
    /// # Errors
    /// [`ApiError::TooManyRequests`].
    pub fn tokens(&self, address: Option<IpAddr>) -> Result<(), ApiError> {
        match address {
            Some(address) if self.on => self.tokens.check(&network(address)),
            _ => Ok(()),
        }
    }

    /// An upload of this customer.
    ///
    /// # Errors
    /// [`ApiError::TooManyRequests`].
    pub fn uploads(&self, customer: CustomerId) -> Result<(), ApiError> {
        if self.on { self.uploads.check(&customer) } else { Ok(()) }
    }

    /// An order of this customer.
    ///
    /// # Errors
    /// [`ApiError::TooManyRequests`].
    pub fn orders(&self, customer: CustomerId) -> Result<(), ApiError> {
        if self.on { self.orders.check(&customer) } else { Ok(()) }
    }

    /// A task that this machine starts.
    ///
    /// # Errors
    /// [`ApiError::TooManyRequests`].
    pub fn tasks(&self, machine: &str) -> Result<(), ApiError> {
        if self.on { self.tasks.check(&machine.to_owned()) } else { Ok(()) }
    }

    /// A login of an operator: from this address, and under this name, whether anybody has it or not.
    ///
    /// # Errors
    /// [`ApiError::TooManyRequests`].
    pub fn logins(&self, address: Option<IpAddr>, name: &str) -> Result<(), ApiError> {
        if !self.on {
            return Ok(());
        }
        if let Some(address) = address {
            self.logins_from.check(&network(address))?;
        }
        // No operator has a longer name: longer ones need not be remembered whole.
        self.logins_as.check(&name.chars().take(64).collect())
    }
}

/// One household has 2⁶⁴ addresses of version 6: they count as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

struct Limit<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DashMapStateStore<K>, DefaultClock>,
    asked: AtomicU32,
}

impl<K: Hash + Eq + Clone> Limit<K> {
    fn new(a_minute: NonZeroU32) -> Self {
        Self { limiter: RateLimiter::keyed(Quota::per_minute(a_minute)), asked: AtomicU32::new(0) }
    }

    fn check(&self, key: &K) -> Result<(), ApiError> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        let now = DefaultClock::default().now();
        self.limiter.check_key(key).map_err(|refusal| ApiError::TooManyRequests(refusal.wait_time_from(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twenty_first_token_of_a_minute_is_refused_and_others_are_not() {
        let rates = RateLimits::new(true);
        let one = Some("192.0.2.1".parse().unwrap());
        for _ in 0..20 {
            assert!(rates.tokens(one).is_ok());
        }
        let Err(ApiError::TooManyRequests(wait)) = rates.tokens(one) else { panic!("let through") };
        assert!(wait.as_secs() <= 3, "{wait:?}");
        assert!(rates.tokens(Some("192.0.2.2".parse().unwrap())).is_ok());
    }

    #[test]
    fn the_eleventh_login_of_a_minute_is_refused_by_address_and_by_name() {
        let rates = RateLimits::new(true);
        let address = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        for round in 0..10 {
            assert!(rates.logins(address(1), &format!("name-{round}")).is_ok());
            assert!(rates.logins(address(10 + round), "ada").is_ok());
        }
        assert!(rates.logins(address(1), "eve").is_err());
        assert!(rates.logins(address(2), "ada").is_err());
        assert!(rates.logins(address(2), "eve").is_ok());
    }

    #[test]
    fn switched_off_nothing_is_refused() {
        let rates = RateLimits::new(false);
        let customer = CustomerId::new();
        assert!((0..1000).all(|_| rates.uploads(customer).is_ok() && rates.orders(customer).is_ok()));
    }

    #[test]
    fn a_network_of_version_6_is_one_address() {
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(network(one), network("2001:db8::ffff".parse().unwrap()));
        assert_ne!(network(one), network("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), "192.0.2.1".parse::<IpAddr>().unwrap());
    }
}
