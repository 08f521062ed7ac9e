//! Limits for people without a token, who reach share links: requests per second of one address, and requests
//! of all of them at once.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::problem::{ApiError, Kind};
use crate::proxy::client;
use crate::state::AppState;

/// A shared page sends one request, and its link preview another.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// Requests that one address may send at once after a pause: a class that opens a link behind one address.
const BURST: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// Requests handled at once. Each may draw a picture, which takes a processor for a while.
const AT_ONCE: usize = 16;
/// How long a request waits to be handled.
const PATIENCE: Duration = Duration::from_secs(10);
/// Addresses that are remembered; beyond them, those that have been quiet are forgotten.
const REMEMBERED: usize = 10_000;

#[derive(Debug)]
pub struct Guests {
    rates: DefaultKeyedRateLimiter<IpAddr>,
    places: Semaphore,
}

impl Default for Guests {
    fn default() -> Self {
        let quota = Quota::per_second(PER_SECOND).allow_burst(BURST);
        Guests { rates: RateLimiter::keyed(quota), places: Semaphore::new(AT_ONCE) }
    }
}

impl Guests {
    /// Whether an address may send another request now.
    fn may_ask(&self, address: IpAddr) -> bool {
        if self.rates.len() > REMEMBERED {
            self.rates.retain_recent();
            self.rates.shrink_to_fit();
        }
        self.rates.check_key(&network(address)).is_ok()
    }
}

/// The address, or the /64 network of an IPv6 address: one household or machine has that many addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

/// Refuses a request if its sender, or all together, send too many.
pub async fn limit(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    if !state.guests.may_ask(sender(peer, request.headers())) {
        let detail = format!("more than {PER_SECOND} requests a second from this address; wait a moment");
        return ApiError::new(Kind::TooManyRequests, detail).into_response();
    }
    match timeout(PATIENCE, state.guests.places.acquire()).await {
        Ok(_place) => next.run(request).await,
        Err(_) => {
            let detail = "too many people open shared pages at this moment; wait a moment";
            ApiError::new(Kind::TooManyRequests, detail).into_response()
        }
    }
}

/// The address of the sender. Only a proxy on this machine is believed what it says of it.
fn sender(peer: Option<IpAddr>, headers: &HeaderMap) -> IpAddr {
    match peer {
        Some(peer) if !peer.is_loopback() => peer,
        peer => client(headers).or(peer).unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn an_address_that_asks_too_often_is_refused_and_others_are_not() {
        let guests = Guests::default();
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse::<IpAddr>().unwrap());
        let passed = (0..BURST.get() + 50).filter(|_| guests.may_ask(one)).count();
        assert!((100..150).contains(&passed), "{passed}");
        assert!(guests.may_ask(other));
    }

    #[test]
    fn addresses_of_one_network_are_one_sender() {
        for (one, other, same) in [
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
        ] {
            let [one, other] = [one, other].map(|text| network(text.parse().unwrap()));
            assert_eq!(one == other, same, "{one} {other}");
        }
    }

    #[test]
    fn only_a_proxy_on_this_machine_says_who_asks() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.9, 192.0.2.7"));
        for (peer, expected) in [("127.0.0.1", "192.0.2.7"), ("::1", "192.0.2.7"), ("198.51.100.1", "198.51.100.1")] {
            let expected: IpAddr = expected.parse().unwrap();
            assert_eq!(sender(Some(peer.parse().unwrap()), &headers), expected, "{peer}");
        }
        assert_eq!(sender(Some("127.0.0.1".parse().unwrap()), &HeaderMap::new()), IpAddr::from([127, 0, 0, 1]));
    }
}
