//! Between two programs that talk over UDP: a [`Line`] that is slow, loses packets, or is cut.

mod line;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;

pub(crate) use line::Way;
pub use line::{Line, Rate};

/// How often threads that wait look whether it is over.
const LOOK: Duration = Duration::from_millis(50);
/// Packets on their way to the one who delivers them; more are lost, as on any full line.
const MOST_WAITING: usize = 1 << 16;
/// What the system keeps of packets that were not taken yet, in bytes, if it lets us.
pub(crate) const SOCKET: usize = 4 << 20;
/// No datagram is longer.
const DATAGRAM: usize = 1 << 16;
/// Any port of this machine.
pub const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Listens at an address of its own, and sends on to a target what comes there. Each client has a socket of its own towards
/// the target, by which the answers come back.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What a relay has delivered one way, and what it has not. Bytes are those of UDP's payload: 28 more a packet are on the
/// wire with IPv4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets that arrived.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that did not.
    pub lost: u64,
}

#[derive(Debug)]
struct Shared {
    target: Mutex<Option<SocketAddr>>,
    is_cut: AtomicBool,
    is_over: AtomicBool,
    there: Direction,
    back: Direction,
    leave: SyncSender<Packet>,
    /// All that arrived at the target.
    record: Mutex<Vec<Vec<u8>>>,
    is_recorded: AtomicBool,
}

#[derive(Debug)]
struct Direction {
    way: Mutex<Way>,
    packets: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicU64,
}

/// Towards the target, or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Towards {
    Target,
    Client,
}

/// One on its way.
#[derive(Debug)]
struct Packet {
    due: Instant,
    bytes: Vec<u8>,
    socket: Arc<UdpSocket>,
    to: SocketAddr,
    towards: Towards,
}

impl Relay {
    /// Listens there; port 0 is any. Until [`Relay::lead_to`] says where it leads, all is lost.
    ///
    /// # Errors
    /// The address cannot be had.
    pub fn start(at: SocketAddr, line: Line, seed: u64) -> io::Result<Self> {
        let socket = Arc::new(open(at)?);
        let address = socket.local_addr()?;
        let (leave, leaving) = sync_channel(MOST_WAITING);
        let shared = Arc::new(Shared {
            target: Mutex::default(),
            is_cut: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            there: Direction::new(Way::new(line, seed)),
            back: Direction::new(Way::new(line, !seed)),
            leave,
            record: Mutex::default(),
            is_recorded: AtomicBool::new(false),
        });
        let (taking, delivering) = (shared.clone(), shared.clone());
        let threads = vec![
            std::thread::spawn(move || taking.take(&socket)),
            std::thread::spawn(move || delivering.deliver(&leaving)),
        ];
        Ok(Self { address, shared, threads })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads there from now on, all clients alike.
    pub fn lead_to(&self, target: SocketAddr) {
        *lock(&self.shared.target) = Some(target);
    }

    /// Lets nothing through any more.
    pub fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::Relaxed);
    }

    /// Is as before.
    pub fn mend(&self) {
        self.shared.is_cut.store(false, Ordering::Relaxed);
    }

    /// Keeps all that goes to the target from now on.
    pub fn record(&self) {
        self.shared.is_recorded.store(true, Ordering::Relaxed);
    }

    /// What it kept, in the order it arrived.
    pub fn recorded(&self) -> Vec<Vec<u8>> {
        lock(&self.shared.record).clone()
    }

    /// What went to the target so far.
    pub fn there(&self) -> Count {
        self.shared.there.count()
    }

    /// What came back.
    pub fn back(&self) -> Count {
        self.shared.back.count()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("a relay's threads do not panic");
        }
    }
}

impl Direction {
    fn new(way: Way) -> Self {
        Self { way: Mutex::new(way), packets: AtomicU64::new(0), bytes: AtomicU64::new(0), lost: AtomicU64::new(0) }
    }

    fn count(&self) -> Count {
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Count { packets: of(&self.packets), bytes: of(&self.bytes), lost: of(&self.lost) }
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    fn direction(&self, towards: Towards) -> &Direction {
        match towards {
            Towards::Target => &self.there,
            Towards::Client => &self.back,
        }
    }

    /// Takes what clients send.
    fn take(self: Arc<Self>, socket: &Arc<UdpSocket>) {
        let mut clients = HashMap::new();
        let mut answering = Vec::new();
        self.receive(socket, |bytes, client| {
            let upstream = clients.entry(client).or_insert_with(|| {
                let any = SocketAddr::new(socket.local_addr().expect("a socket has an address").ip(), 0);
                let upstream = Arc::new(open(any).expect("there are sockets enough"));
                let (shared, from, to) = (self.clone(), upstream.clone(), socket.clone());
                answering.push(std::thread::spawn(move || {
                    shared.receive(&from, |bytes, _| shared.send(bytes, &to, Some(client), Towards::Client));
                }));
                upstream
            });
            let target = *lock(&self.target);
            self.send(bytes, upstream, target, Towards::Target);
        });
        for thread in answering {
            thread.join().expect("a relay's threads do not panic");
        }
    }

    fn receive(&self, socket: &UdpSocket, mut with: impl FnMut(&[u8], SocketAddr)) {
        let mut buffer = vec![0; DATAGRAM];
        while !self.is_over() {
            // It waits no longer than it looks whether all is over.
            match socket.recv_from(&mut buffer) {
                Ok((size, from)) => with(&buffer[..size], from),
                Err(error) if matches!(error.kind(), WouldBlock | TimedOut | Interrupted | ConnectionRefused) => {}
                Err(error) => panic!("a relay hears no more: {error}"),
            }
        }
    }

    fn send(&self, bytes: &[u8], socket: &Arc<UdpSocket>, to: Option<SocketAddr>, towards: Towards) {
        let direction = self.direction(towards);
        let due = lock(&direction.way).arrival(Instant::now(), bytes.len()).filter(|_| !self.is_cut());
        let packet =
            due.zip(to).map(|(due, to)| Packet { due, bytes: bytes.to_vec(), socket: socket.clone(), to, towards });
        if packet.is_none_or(|packet| self.leave.try_send(packet).is_err()) {
            direction.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Delivers packets when they are due; those that are due at the same time keep their order.
    fn deliver(&self, leaving: &Receiver<Packet>) {
        let mut under_way: BTreeMap<(Instant, u64), Packet> = BTreeMap::new();
        let mut number = 0;
        while !self.is_over() {
            let now = Instant::now();
            while let Some(next) = under_way.first_entry().filter(|next| next.key().0 <= now) {
                self.arrive(&next.remove());
            }
            let wait = under_way.first_key_value().map_or(LOOK, |((due, _), _)| due.duration_since(now).min(LOOK));
            match leaving.recv_timeout(wait) {
                Ok(packet) => {
                    under_way.insert((packet.due, number), packet);
                    number += 1;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn arrive(&self, packet: &Packet) {
        let direction = self.direction(packet.towards);
        if self.is_cut() || packet.socket.send_to(&packet.bytes, packet.to).is_err() {
            direction.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if packet.towards == Towards::Target && self.is_recorded.load(Ordering::Relaxed) {
            lock(&self.record).push(packet.bytes.clone());
        }
        direction.packets.fetch_add(1, Ordering::Relaxed);
        direction.bytes.fetch_add(packet.bytes.len() as u64, Ordering::Relaxed);
    }
}

/// A socket whose reader looks now and then whether all is over.
fn open(at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(at)?;
    socket.set_read_timeout(Some(LOOK))?;
    // More than the system allows is cut down to that.
    set_socket_recv_buffer_size(&socket, SOCKET)?;
    Ok(socket)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::LIMIT;

    const ANY: &str = "127.0.0.1:0";

    /// A relay that leads to a socket, and a client of it.
    fn relayed(line: Line) -> (Relay, UdpSocket, UdpSocket) {
        let open = || {
            let socket = UdpSocket::bind(ANY).unwrap();
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            socket
        };
        let (relay, target, client) = (Relay::start("127.0.0.9:0".parse().unwrap(), line, 1).unwrap(), open(), open());
        client.connect(relay.address()).unwrap();
        relay.lead_to(target.local_addr().unwrap());
        (relay, target, client)
    }

    fn taken(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 100];
        let (size, from) = socket.recv_from(&mut buffer).unwrap();
        (buffer[..size].to_vec(), from)
    }

    #[test]
    fn what_goes_in_comes_out_at_the_other_end_and_answers_find_their_client() {
        let (relay, target, client) = relayed(Line { delay: Duration::from_millis(1), ..Line::default() });
        let other = UdpSocket::bind(ANY).unwrap();
        other.set_read_timeout(Some(LIMIT)).unwrap();
        other.connect(relay.address()).unwrap();
        for n in 0..100 {
            client.send(&[n; 50]).unwrap();
        }
        let all: Vec<_> = (0..100).map(|_| taken(&target)).collect();
        assert!(all.iter().map(|(bytes, _)| bytes.clone()).eq((0..100).map(|n| vec![n; 50])));
        other.send(b"other").unwrap();
        let (bytes, of_other) = taken(&target);
        assert_eq!((bytes.as_slice(), of_other == all[0].1), (&b"other"[..], false));
        target.send_to(b"to other", of_other).unwrap();
        target.send_to(b"to client", all[0].1).unwrap();
        assert_eq!((taken(&other).0, taken(&client).0), (b"to other".to_vec(), b"to client".to_vec()));
        assert_eq!(relay.there(), Count { packets: 101, bytes: 5_005, lost: 0 });
    }

    #[test]
    fn what_is_cut_lets_nothing_through_before_it_is_mended_and_another_target_gets_the_rest() {
        let (relay, target, client) = relayed(Line::default());
        relay.cut();
        client.send(b"lost").unwrap();
        let patience = Instant::now() + LIMIT;
        while relay.there().lost == 0 {
            assert!(Instant::now() < patience);
            std::thread::yield_now();
        }
        relay.mend();
        client.send(b"first").unwrap();
        assert_eq!(taken(&target).0, b"first");
        let next = UdpSocket::bind(ANY).unwrap();
        next.set_read_timeout(Some(LIMIT)).unwrap();
        relay.lead_to(next.local_addr().unwrap());
        client.send(b"second").unwrap();
        assert_eq!(taken(&next).0, b"second");
    }
}
