//! Streams of QUIC over one line in virtual time: nothing but the line and the controllers has a say in what they carry.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn_proto::{
    Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig, Event, ServerConfig, StreamId,
};

use super::congestion::{Carried, Congestion};
use crate::keys::Keys;
use crate::relay::{Line, Way};

/// A stream starts slowly, and so much of the time is not counted.
const START: f64 = 0.3;
static PIECE: [u8; 1 << 16] = [0; 1 << 16];
/// What a side may send at once, in packets, as where the system takes them together.
const TOGETHER: usize = 10;
/// Before it has much to send, a stream says a word now and then.
const WORDS: u32 = 10;
const BETWEEN_WORDS: Duration = Duration::from_millis(200);
const WORD: [u8; 100] = [0; 100];
/// The timers of a runtime are no finer.
const TICK: Duration = Duration::from_millis(1);

/// What streams carry that go over a line at the same time, each by its own controller.
///
/// # Errors
/// A connection was lost.
pub fn shared(line: Line, by: &[Congestion], time: Duration) -> Result<Vec<Carried>, String> {
    let mut world = World::new(line, by)?;
    let begins = world.now + BETWEEN_WORDS * WORDS;
    let (end, start) = (begins + time, begins + time.mul_f64(START));
    let mut before = vec![0; by.len()];
    while world.now < end {
        world.step(end)?;
        if world.now < start {
            before = world.flows.iter().map(|flow| flow.arrived).collect();
        }
    }
    let seconds = (end - start).as_secs_f64();
    Ok(world.flows.iter().zip(before).map(|(flow, before)| flow.carried(before, seconds)).collect())
}

/// A side of a connection.
struct Side {
    address: SocketAddr,
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
}

/// A stream that always has more to send, once it has said its words.
struct Flow {
    next_word: Instant,
    words: u32,
    sending: Side,
    taking: Side,
    stream: Option<StreamId>,
    arrived: u64,
}

/// A packet on its way.
struct Packet {
    flow: usize,
    is_answer: bool,
    bytes: Vec<u8>,
}

struct World {
    began: Instant,
    now: Instant,
    /// There, and back.
    line: [Way; 2],
    flows: Vec<Flow>,
    under_way: BTreeMap<(Instant, u64), Packet>,
    sent: u64,
}

impl World {
    fn new(line: Line, by: &[Congestion]) -> Result<Self, String> {
        let (now, keys) = (Instant::now(), Keys::new().map_err(|error| error.to_string())?);
        let flows = by.iter().zip(1..).map(|(by, number)| Flow::new(&keys, *by, number, now));
        let flows = flows.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        let line = [Way::new(line, 1), Way::new(line, !1)];
        Ok(Self { began: now, now, line, flows, under_way: BTreeMap::new(), sent: 0 })
    }

    /// All that happens now, and on to when the next thing does.
    fn step(&mut self, end: Instant) -> Result<(), String> {
        while let Some(next) = self.under_way.first_entry().filter(|next| next.key().0 <= self.now) {
            let packet = next.remove();
            self.flows[packet.flow].arrive(self.now, &packet)?;
        }
        let mut next = end;
        for number in 0..self.flows.len() {
            let flow = &mut self.flows[number];
            flow.drive(self.now)
                .map_err(|why| format!("lost after {:.1} s: {why}", (self.now - self.began).as_secs_f64()))?;
            if flow.words > 0 {
                next = next.min(flow.next_word.max(self.now + TICK));
            }
            for (is_answer, side) in [(false, &mut flow.sending), (true, &mut flow.taking)] {
                let Some((_, connection)) = &mut side.connection else { continue };
                let mut bytes = Vec::new();
                while let Some(transmit) = connection.poll_transmit(self.now, TOGETHER, &mut bytes) {
                    for packet in bytes.chunks(transmit.segment_size.unwrap_or(transmit.size)) {
                        if let Some(due) = self.line[usize::from(is_answer)].arrival(self.now, packet.len()) {
                            let packet = Packet { flow: number, is_answer, bytes: packet.to_vec() };
                            self.under_way.insert((due, self.sent), packet);
                            self.sent += 1;
                        }
                    }
                    bytes.clear();
                }
                if let Some(timer) = connection.poll_timeout() {
                    let ticks = timer.saturating_duration_since(self.began).as_nanos().div_ceil(TICK.as_nanos());
                    next = next.min(self.began + TICK * u32::try_from(ticks).unwrap_or(u32::MAX));
                }
            }
        }
        next = self.under_way.first_key_value().map_or(next, |((due, _), _)| next.min(*due));
        self.now = next.max(self.now + Duration::from_nanos(1));
        Ok(())
    }
}

impl Flow {
    fn new(keys: &Keys, by: Congestion, number: u8, now: Instant) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut config = keys.server()?;
        config.transport_config(by.transport());
        let taking = Side::new(number, 2, Some(config));
        let mut sending = Side::new(number, 1, None);
        let mut config = keys.client()?;
        config.transport_config(by.transport());
        sending.connection = Some(sending.endpoint.connect(now, config, taking.address, Keys::NAME)?);
        Ok(Self { next_word: now, words: WORDS, sending, taking, stream: None, arrived: 0 })
    }

    fn arrive(&mut self, now: Instant, packet: &Packet) -> Result<(), String> {
        let (to, from) =
            if packet.is_answer { (&mut self.sending, &self.taking) } else { (&mut self.taking, &self.sending) };
        let mut answer = Vec::new();
        match to.endpoint.handle(now, from.address, None, None, packet.bytes.as_slice().into(), &mut answer) {
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                if let Some((_, connection)) = &mut to.connection {
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                let accepted = to.endpoint.accept(incoming, now, &mut answer, None);
                to.connection = Some(accepted.map_err(|error| error.cause.to_string())?);
            }
            Some(DatagramEvent::Response(_)) | None => {}
        }
        Ok(())
    }

    fn drive(&mut self, now: Instant) -> Result<(), String> {
        self.sending.drive(now)?;
        self.taking.drive(now)?;
        if let Some((_, connection)) = &mut self.sending.connection {
            if self.stream.is_none() && !connection.is_handshaking() {
                self.stream = connection.streams().open(Dir::Uni);
            }
            if let Some(stream) = self.stream {
                if self.words == 0 {
                    while connection.send_stream(stream).write(&PIECE).is_ok() {}
                } else if self.next_word <= now && connection.send_stream(stream).write(&WORD).is_ok() {
                    (self.words, self.next_word) = (self.words - 1, now + BETWEEN_WORDS);
                }
            }
        }
        if let Some((_, connection)) = &mut self.taking.connection {
            let _ = connection.streams().accept(Dir::Uni);
            let Some(stream) = self.stream else { return Ok(()) };
            if let Ok(mut chunks) = connection.recv_stream(stream).read(true) {
                while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
                    self.arrived += chunk.bytes.len() as u64;
                }
                let _ = chunks.finalize();
            }
        }
        Ok(())
    }

    fn carried(&self, before: u64, seconds: f64) -> Carried {
        let stats = self.sending.connection.as_ref().map(|(_, connection)| connection.stats()).unwrap_or_default();
        Carried {
            rate: (self.arrived - before) as f64 * 8.0 / seconds,
            in_vain: stats.path.lost_bytes as f64 / stats.udp_tx.bytes.max(1) as f64,
        }
    }
}

impl Side {
    fn new(flow: u8, side: u8, server: Option<ServerConfig>) -> Self {
        // Seeds make connection numbers, and with them all else, the same each time.
        let seed = Some([flow ^ (side << 6); 32]);
        let endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), server.map(Arc::new), true, seed);
        let address = SocketAddr::new(Ipv4Addr::new(10, 0, flow, side).into(), 1);
        Self { address, endpoint, connection: None }
    }

    /// Its timers, and what it has to tell.
    fn drive(&mut self, now: Instant) -> Result<(), String> {
        let Some((handle, connection)) = &mut self.connection else { return Ok(()) };
        if connection.poll_timeout().is_some_and(|timer| timer <= now) {
            connection.handle_timeout(now);
        }
        while let Some(event) = connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                connection.handle_event(event);
            }
        }
        while let Some(event) = connection.poll() {
            if let Event::ConnectionLost { reason } = event {
                return Err(reason.to_string());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::line;
    use super::*;

    fn alone(line: Line, seconds: u64) -> Carried {
        shared(line, &[Congestion::Divien], Duration::from_secs(seconds)).unwrap()[0]
    }

    #[test]
    fn losses_by_chance_cost_what_is_lost() {
        for loss in [0.001, 0.01] {
            let of = line(50, 200, 1.0, loss);
            let carried = alone(of, 4);
            assert!(carried.rate > 160e6, "{of}: {carried}");
            assert!(carried.in_vain < loss + 0.005, "{of}: {carried}");
        }
    }

    #[test]
    fn a_line_is_filled_and_little_is_sent_in_vain() {
        for (of, seconds) in [(line(1, 500, 1.0, 0.0), 1), (line(50, 200, 0.2, 0.0), 5), (line(50, 10, 1.0, 0.0), 10)] {
            let (carried, rate) = (alone(of, seconds), of.rate.unwrap().bits as f64);
            assert!(carried.rate > 0.8 * rate, "{of}: {carried}");
            assert!(carried.in_vain < 0.02, "{of}: {carried}");
        }
    }

    /// quinn ends a connection where a stream has more than 1,024 gaps.
    #[test]
    fn no_start_is_so_steep_that_the_connection_is_lost() {
        for (of, seconds) in
            [(line(50, 1_000, 0.1, 0.0), 2), (line(50, 200, 4.0, 0.0), 3), (line(250, 100, 1.0, 0.0), 8)]
        {
            let (carried, rate) = (alone(of, seconds), of.rate.unwrap().bits as f64);
            assert!(carried.rate > 0.6 * rate, "{of}: {carried}");
        }
    }

    #[test]
    fn many_before_a_short_queue_lose_little_and_leave_others_theirs() {
        let of = line(2, 200, 0.5, 0.0);
        let carried = shared(of, &[Congestion::Divien; 4], Duration::from_secs(3)).unwrap();
        let all: f64 = carried.iter().map(|one| one.rate).sum();
        assert!(all > 0.8 * 200e6, "{all}");
        assert!(carried.iter().all(|one| one.in_vain < 0.08), "{carried:?}");
    }

    #[test]
    fn others_on_the_line_get_their_share() {
        const TIME: Duration = Duration::from_secs(40);
        let of = line(50, 20, 1.0, 0.0);
        let by = [Congestion::Divien, Congestion::Cubic];
        let [ours, other] = shared(of, &by, TIME).unwrap().try_into().unwrap();
        assert!(ours.rate < 1.6 * other.rate, "{ours}, {other}");
        assert!(ours.rate > 0.2 * other.rate, "{ours}, {other}");
        let [one, two] = shared(of, &[Congestion::Divien; 2], TIME).unwrap().try_into().unwrap();
        assert!(one.rate > 0.5 * two.rate && two.rate > 0.5 * one.rate, "{one}, {two}");
    }
}
