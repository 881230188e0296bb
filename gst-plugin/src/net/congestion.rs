//! How much a connection sends at once: CUBIC, less what it makes of a line that loses packets by chance.
//!
//! To CUBIC each loss is a sign of congestion: of 200 Mbit/s over 50 ms it leaves 3 where one packet in a hundred is lost.
//! Here a loss is one only where something else says so too: packets wait on their way (the idea of TCP Veno, Fu and Liew,
//! 2003), or more of them are lost than 2% (as in BBRv2). All the rest is quinn's [`Cubic`].
//!
//! The start ends once packets wait (HyStart++, RFC 9406), and nothing grows by more than 256 packets a round trip. Who
//! doubles what is sent until packets are lost loses them by the thousand, each behind another that came, and quinn ends a
//! connection where a stream has more than 1,024 gaps: so CUBIC and BBR, as they are, lose a line of 1 Gbit/s over 50 ms
//! within a second.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, Cubic, CubicConfig};
use quinn_proto::RttEstimator;

/// The share of packets that a line may lose by chance.
const BY_CHANCE: f64 = 0.02;
/// So many standard deviations more of them can be chance in one round trip.
const DEVIATIONS: f64 = 3.0;
/// By so many packets a round trip what is sent grows at most.
const STEEPEST: u64 = 256;
/// The share of what is known of a line that still counts a round trip later.
const MEMORY: f64 = 15.0 / 16.0;
/// So few packets tell nothing of how long they wait.
const FEW: u64 = 16;
/// Packets wait if they take longer than the fastest by a quarter, within these bounds. HyStart++ has an eighth, and 4 to
/// 16 ms; but whoever encodes on all cores answers late by a time slice or two.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_millis(25);

/// Makes a controller for each connection.
#[derive(Debug, Default)]
pub struct TolerantConfig {
    cubic: Arc<CubicConfig>,
}

impl ControllerFactory for TolerantConfig {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        let cubic = Cubic::new(self.cubic.clone(), now, mtu);
        Box::new(Tolerant { cubic, line: Line::new(now, mtu) })
    }
}

#[derive(Debug, Clone)]
struct Tolerant {
    cubic: Cubic,
    line: Line,
}

impl Tolerant {
    /// No loss has said yet what the line takes.
    fn is_starting(&self) -> bool {
        self.cubic.metrics().ssthresh.is_none_or(|threshold| self.cubic.window() < threshold)
    }
}

impl Controller for Tolerant {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.line.arrived(now, sent, bytes, app_limited, rtt.min(), self.cubic.window());
        let window = self.cubic.window();
        if self.is_starting() && window >= FEW * self.line.mtu && self.line.waited() {
            return self.cubic.on_congestion_event(now, now, false, 0);
        }
        if self.line.may_grow(window) {
            self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
        }
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest_packet_num_acked: Option<u64>) {
        self.cubic.on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent_congestion: bool, lost_bytes: u64) {
        let is_chance = self.line.lost(lost_bytes);
        // Routers that mark packets lose none.
        if is_persistent_congestion || lost_bytes == 0 || !is_chance {
            self.cubic.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
            self.line.is_full();
        }
        if is_persistent_congestion {
            self.line.forget(now);
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.line.mtu = new_mtu.into();
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.cubic.window()
    }

    fn metrics(&self) -> ControllerMetrics {
        self.cubic.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// What is known of a line.
#[derive(Debug, Clone)]
struct Line {
    /// The fastest round trip of all.
    fastest: Duration,
    round: Round,
    /// Those before it, the last one first.
    before: [Round; 2],
    /// Bytes that arrived in all rounds before this one since it was full, and that were lost; the older, the less they count.
    arrived: f64,
    lost: f64,
    /// The bytes of a packet.
    mtu: u64,
}

/// What came of the packets of one round trip.
#[derive(Debug, Clone, Copy)]
struct Round {
    began: Instant,
    /// What might be sent at once when it began, in bytes.
    window: Option<u64>,
    arrived: u64,
    lost: u64,
    /// The fastest of those of its packets that were not the last for now.
    fastest: Option<Duration>,
}

impl Line {
    fn new(now: Instant, mtu: u16) -> Self {
        let round = Round::new(now);
        Self { fastest: Duration::MAX, round, before: [round; 2], arrived: 0.0, lost: 0.0, mtu: mtu.into() }
    }

    fn arrived(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, fastest: Duration, window: u64) {
        self.fastest = fastest;
        if sent >= self.round.began {
            self.arrived = self.arrived * MEMORY + self.round.arrived as f64;
            self.lost = self.lost * MEMORY + self.round.lost as f64;
            self.before = [std::mem::replace(&mut self.round, Round::new(now)), self.before[0]];
        }
        self.round.window.get_or_insert(window);
        self.round.arrived += bytes;
        // The answer to a single packet is put off, for others that may come.
        if !app_limited {
            let took = now.saturating_duration_since(sent);
            self.round.fastest = Some(self.round.fastest.map_or(took, |fastest| fastest.min(took)));
        }
    }

    /// Whether chance alone explains that these bytes were lost too.
    fn lost(&mut self, bytes: u64) -> bool {
        self.round.lost += bytes;
        let (arrived, lost) = (self.round.arrived as f64, self.round.lost as f64);
        self.is_chance(arrived.max(self.before[0].arrived as f64), lost)
            && self.is_chance(self.arrived + arrived, self.lost + lost)
            && !self.wait_in([&self.round, &self.before[0]])
    }

    /// Whether so many bytes can be lost beside others that arrive, where packets are lost by chance alone.
    fn is_chance(&self, arrived: f64, lost: f64) -> bool {
        let expected = arrived / self.mtu as f64 * BY_CHANCE;
        lost <= (expected + DEVIATIONS * expected.sqrt() + 1.0) * self.mtu as f64
    }

    /// It takes no more: what is lost from now on counts anew.
    fn is_full(&mut self) {
        (self.arrived, self.lost, self.round.lost) = (0.0, 0.0, 0);
    }

    /// It may be another line now.
    fn forget(&mut self, now: Instant) {
        self.is_full();
        (self.round, self.before) = (Round::new(now), [Round::new(now); 2]);
    }

    /// Whether packets waited in the last two whole rounds.
    fn waited(&self) -> bool {
        let [last, other] = &self.before;
        self.wait_in([last, other])
    }

    /// Whether all packets of two rounds waited: there is always one whose answer was late.
    fn wait_in(&self, rounds: [&Round; 2]) -> bool {
        let wait = (self.fastest / 4).clamp(SHORTEST_WAIT, LONGEST_WAIT);
        let slow = |round: &Round| round.fastest.is_some_and(|fastest| fastest >= self.fastest.saturating_add(wait));
        rounds.into_iter().all(slow)
    }

    /// Whether what is sent at once has not grown by as much as it may in this round.
    fn may_grow(&self, window: u64) -> bool {
        let before = self.round.window.unwrap_or(window);
        window.saturating_sub(before) < STEEPEST * self.mtu
    }
}

impl Round {
    fn new(began: Instant) -> Self {
        Self { began, window: None, arrived: 0, lost: 0, fastest: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MTU: u16 = 1200;
    const TRIP: Duration = Duration::from_millis(50);

    /// A line on which rounds of so many packets arrived, each within so long.
    fn line(packets: u64, took: Duration) -> Line {
        let start = Instant::now();
        let mut line = Line::new(start, MTU);
        for round in 1..4 {
            let sent = start + took * round;
            for _ in 0..packets {
                line.arrived(sent + took, sent, MTU.into(), false, TRIP, 0);
            }
        }
        line
    }

    #[test]
    fn what_is_lost_by_chance_is_no_congestion() {
        let mut clear = line(1_000, TRIP);
        // 20 are to be expected of a line that loses 2%, and 34 can be chance.
        assert!((0..34).all(|_| clear.lost(MTU.into())));
        assert!(!clear.lost(MTU.into()));
        // Of few packets, one or two.
        let mut small = line(10, TRIP);
        assert!(small.lost(MTU.into()) && small.lost(MTU.into()));
        assert!(!small.lost(MTU.into()));
    }

    #[test]
    fn any_loss_is_congestion_where_packets_wait() {
        let wait = TRIP / 4;
        assert!(line(1_000, TRIP + wait - Duration::from_millis(1)).lost(MTU.into()));
        assert!(!line(1_000, TRIP + wait).lost(MTU.into()));
    }

    #[test]
    fn packets_wait_where_the_fastest_of_a_round_is_slow() {
        let mut line = line(10, TRIP * 2);
        assert!(line.waited());
        // One fast one in two rounds is enough to say that the others' answers were late.
        for (took, waited) in [(TRIP, true), (TRIP * 2, false), (TRIP * 2, false), (TRIP * 2, true)] {
            let sent = line.round.began;
            line.arrived(sent + took, sent, MTU.into(), false, TRIP, 0);
            assert_eq!(line.waited(), waited);
        }
    }

    #[test]
    fn packets_sent_one_by_one_say_nothing_of_the_line() {
        let mut line = Line::new(Instant::now(), MTU);
        for _ in 0..10 {
            let sent = line.round.began;
            line.arrived(sent + TRIP * 2, sent, MTU.into(), true, TRIP, 0);
            assert!(!line.waited());
        }
    }

    #[test]
    fn what_is_lost_in_each_of_many_rounds_is_no_chance() {
        let mut line = line(10, TRIP);
        let rounds = (0..16).take_while(|_| {
            let sent = line.round.began;
            (0..10).for_each(|_| line.arrived(sent + TRIP, sent, MTU.into(), false, TRIP, 0));
            line.lost(MTU.into())
        });
        // One of ten in one round may be chance, in one after the other not.
        assert!((2..12).contains(&rounds.count()));
    }

    #[test]
    fn what_is_sent_grows_by_no_more_than_it_may_in_a_round() {
        let (mut line, most) = (line(1, TRIP), STEEPEST * u64::from(MTU));
        let sent = line.round.began;
        line.arrived(sent + TRIP, sent, MTU.into(), false, TRIP, 1_000_000);
        assert!(line.may_grow(1_000_000 + most - 1));
        assert!(!line.may_grow(1_000_000 + most));
        // A cut in between gives no more than that either.
        assert!(line.may_grow(700_000));
    }
}
