//! Who tries keys: an address that sends one wrong key after another is refused for a while, whatever it sends.
//!
//! Only different wrong keys count, so that a service that goes on with a dead key is not taken for one that
//! guesses. And keys that were used from an address before go on working from there, so that nobody can shut
//! out those behind the same proxy.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use governor::{DefaultDirectRateLimiter, Quota, clock::Clock as _};
use moka::sync::Cache;
use tonic::metadata::MetadataMap;

/// Different wrong keys that an address may send at once.
const GUESSES_MAX: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);
/// And then one in this time.
const GUESS_INTERVAL: Duration = Duration::from_secs(10);
/// Addresses that are remembered: those that were seen lately and often.
const PEERS_MAX: u64 = 20_000;
/// How long an address is remembered that sends no more wrong keys.
const PEER_IDLE: Duration = Duration::from_hours(1);
/// Wrong keys that are remembered of an address.
const WRONG_KEYS_MAX: usize = 16;
/// Addresses that are remembered of a key.
const PEERS_OF_KEY: usize = 8;

/// Where a call comes from: an address, or the 64 bits of an IPv6 network, in which one host has all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(IpAddr);

impl Peer {
    /// The address that the outermost proxy of ours saw, else the one that is connected.
    ///
    /// The last one of x-forwarded-for is Envoy's own word, those before it are of the proxies in front of
    /// it, as many as there are; what is before these is the caller's.
    #[must_use]
    pub fn of(
        metadata: &MetadataMap,
        connected: Option<SocketAddr>,
        proxies: usize,
    ) -> Option<Self> {
        let lines = metadata.get_all("x-forwarded-for").iter().rev();
        let mut seen = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        let forwarded = seen.nth(proxies).and_then(|address| address.trim().parse().ok());
        let address: IpAddr = forwarded.or_else(|| Some(connected?.ip()))?;
        Some(Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Ipv6Addr::from_bits(network).into()
            }
        }))
    }

    /// A number for it; never 0.
    fn number(self) -> u64 {
        let bits = match self.0 {
            IpAddr::V4(address) => u64::from(address.to_bits()) | 1 << 32,
            IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or_default(),
        };
        bits.max(1)
    }
}

/// What wrong keys came from where.
#[derive(Debug)]
pub struct Guesses {
    start: Instant,
    peers: Cache<Peer, Arc<Failures>>,
    /// Milliseconds since the start until which some address is refused: most of the time none is.
    some_until: AtomicU64,
}

#[derive(Debug)]
struct Failures {
    limiter: DefaultDirectRateLimiter,
    /// The newest wrong keys, by a part of their hash.
    wrong: Mutex<VecDeque<u64>>,
    /// Milliseconds since the start until which the address is refused.
    refused_until: AtomicU64,
}

impl Default for Guesses {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            peers: Cache::builder().max_capacity(PEERS_MAX).time_to_idle(PEER_IDLE).build(),
            some_until: AtomicU64::new(0),
        }
    }
}

impl Guesses {
    /// How long an address is refused for; `None` when it is not.
    #[must_use]
    pub fn refused(&self, peer: Option<Peer>) -> Option<Duration> {
        let now = self.now();
        if self.some_until.load(Ordering::Relaxed) <= now {
            return None;
        }
        let until = self.peers.get(&peer?)?.refused_until.load(Ordering::Relaxed);
        (until > now).then(|| Duration::from_millis(until - now))
    }

    /// An address sent a key that is wrong. Says for how long it is refused, if it is.
    pub fn failed(&self, peer: Option<Peer>, key: &str) -> Option<Duration> {
        let peer = peer?;
        let failures = self.peers.get_with(peer, || Arc::new(Failures::new()));
        if failures.is_new(key)
            && let Err(not_until) = failures.limiter.check()
        {
            let wait = not_until.wait_time_from(failures.limiter.clock().now());
            let until = self.now() + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            failures.refused_until.fetch_max(until, Ordering::Relaxed);
            self.some_until.fetch_max(until, Ordering::Relaxed);
        }
        self.refused(Some(peer))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Failures {
    fn new() -> Self {
        let quota = Quota::with_period(GUESS_INTERVAL)
            .unwrap_or_else(|| Quota::per_minute(NonZeroU32::MIN))
            .allow_burst(GUESSES_MAX);
        Self {
            limiter: DefaultDirectRateLimiter::direct(quota),
            wrong: Mutex::default(),
            refused_until: AtomicU64::new(0),
        }
    }

    /// Whether a wrong key is not one of the newest; now it is.
    fn is_new(&self, key: &str) -> bool {
        let mut first = [0; 8];
        first.copy_from_slice(&blake3::hash(key.as_bytes()).as_bytes()[..8]);
        let hash = u64::from_be_bytes(first);
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.contains(&hash) {
            return false;
        }
        if wrong.len() == WRONG_KEYS_MAX {
            wrong.pop_front();
        }
        wrong.push_back(hash);
        true
    }
}

/// From where a key was used.
#[derive(Debug, Default)]
pub struct Peers {
    numbers: [AtomicU64; PEERS_OF_KEY],
    next: AtomicUsize,
}

impl Peers {
    /// Whether the key was used from there.
    #[must_use]
    pub fn contains(&self, peer: Option<Peer>) -> bool {
        let number = peer.map_or(0, Peer::number);
        number != 0 && self.numbers.iter().any(|known| known.load(Ordering::Relaxed) == number)
    }

    /// The key was used from there.
    pub fn add(&self, peer: Option<Peer>) {
        let Some(peer) = peer.filter(|_| !self.contains(peer)) else { return };
        let place = self.next.fetch_add(1, Ordering::Relaxed) % PEERS_OF_KEY;
        if let Some(place) = self.numbers.get(place) {
            place.store(peer.number(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Option<Peer> {
        let address = SocketAddr::new(address.parse().unwrap(), 1);
        Peer::of(&MetadataMap::new(), Some(address), 0)
    }

    #[test]
    fn different_wrong_keys_are_refused_after_a_while_and_the_same_one_is_not() {
        let guesses = Guesses::default();
        for _ in 0..1000 {
            assert_eq!(guesses.failed(peer("192.0.2.1"), "the same"), None);
        }
        let refused =
            (0..100).find(|n| guesses.failed(peer("192.0.2.1"), &n.to_string()).is_some());
        assert_eq!(refused, Some(29));
        let wait = guesses.refused(peer("192.0.2.1")).unwrap();
        assert!(wait <= GUESS_INTERVAL && wait > GUESS_INTERVAL / 2, "{wait:?}");
        assert_eq!(guesses.refused(peer("192.0.2.2")), None);
        assert_eq!(guesses.refused(None), None);
    }

    #[test]
    fn one_ipv6_network_is_one_peer() {
        assert_eq!(peer("2001:db8:1:2::1"), peer("2001:db8:1:2:ffff::9"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
    }

    #[test]
    fn envoys_word_counts_and_not_the_callers() {
        let mut metadata = MetadataMap::new();
        metadata.insert("x-forwarded-for", "203.0.113.9, 192.0.2.7".parse().unwrap());
        assert_eq!(Peer::of(&metadata, None, 0), peer("192.0.2.7"));
        assert_eq!(Peer::of(&metadata, None, 1), peer("203.0.113.9"));
        metadata.append("x-forwarded-for", "192.0.2.8".parse().unwrap());
        assert_eq!(Peer::of(&metadata, None, 0), peer("192.0.2.8"));
        assert_eq!(Peer::of(&metadata, None, 1), peer("192.0.2.7"));
        // Who came round the proxies counts as what is connected.
        assert_eq!(Peer::of(&metadata, None, 3), None);
    }

    #[test]
    fn memory_is_bounded() {
        let guesses = Guesses::default();
        for n in 0..30_000_u32 {
            guesses.failed(Some(Peer(IpAddr::V4(n.into()))), "x");
        }
        guesses.peers.run_pending_tasks();
        assert!(guesses.peers.entry_count() <= PEERS_MAX);
    }

    #[test]
    fn a_key_knows_its_newest_peers() {
        let peers = Peers::default();
        for n in 0..20_u8 {
            peers.add(peer(&format!("192.0.2.{n}")));
            peers.add(peer(&format!("192.0.2.{n}")));
        }
        assert!(peers.contains(peer("192.0.2.19")) && peers.contains(peer("192.0.2.12")));
        assert!(!peers.contains(peer("192.0.2.11")) && !peers.contains(None));
    }
}
