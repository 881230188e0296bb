//! The machines elsewhere that have been there. One that comes again is the one it was, and so is one of the name of one
//! that is gone.

use std::time::{Duration, Instant};

use super::model::MachineStats;
use crate::dispatch::Site;

#[derive(Debug, Default)]
pub(super) struct Machines {
    all: Vec<Machine>,
    /// Which machine each site is; they count from 1.
    of_sites: Vec<usize>,
}

#[derive(Debug)]
struct Machine {
    instance: [u8; 16],
    name: String,
    slots: u32,
    /// By which site it is there, since when.
    here: Option<(Site, Instant)>,
    /// How long it was there before.
    before: Duration,
    times_lost: u32,
}

impl Machines {
    /// A machine comes, or comes again; gives the site that it is from now on.
    pub(super) fn meet(&mut self, instance: [u8; 16], name: &str, slots: u32) -> Site {
        let is_it = |machine: &Machine| machine.instance == instance;
        // One that was started again.
        let is_like_it = |machine: &Machine| machine.here.is_none() && machine.name == name;
        let known = self.all.iter().position(is_it).or_else(|| self.all.iter().position(is_like_it));
        let number = known.unwrap_or_else(|| {
            let (here, before, times_lost) = (None, Duration::ZERO, 0);
            self.all.push(Machine { instance, name: name.to_owned(), slots, here, before, times_lost });
            self.all.len() - 1
        });
        self.of_sites.push(number);
        let site = Site(u32::try_from(self.of_sites.len()).unwrap_or(u32::MAX));
        if let Some(machine) = self.all.get_mut(number) {
            // It may come again before its first connection is known to be lost.
            machine.part();
            machine.instance = instance;
            (machine.name, machine.slots, machine.here) = (name.to_owned(), slots, Some((site, Instant::now())));
        }
        site
    }

    /// The machine that was this site was lost.
    pub(super) fn lost(&mut self, site: Site) {
        self.part(site);
        if let Some(machine) = self.number(site).and_then(|number| self.all.get_mut(number)) {
            machine.times_lost += 1;
        }
    }

    /// The machine that was this site is gone, or gets no more.
    pub(super) fn part(&mut self, site: Site) {
        let machine = self.number(site).and_then(|number| self.all.get_mut(number));
        if let Some(machine) = machine.filter(|machine| machine.here.is_some_and(|(here, _)| here == site)) {
            machine.part();
        }
    }

    /// The machine's number, as in [`Self::stats`]; `None` for this one.
    pub(super) fn number(&self, site: Site) -> Option<usize> {
        self.of_sites.get(usize::try_from(site.0.checked_sub(1)?).ok()?).copied()
    }

    pub(super) fn stats(&self) -> Vec<MachineStats> {
        let stats = |machine: &Machine| MachineStats {
            name: machine.name.clone(),
            slots: if machine.here.is_some() { machine.slots } else { 0 },
            time: machine.before + machine.here.map_or(Duration::ZERO, |(_, since)| since.elapsed()),
            times_lost: machine.times_lost,
        };
        self.all.iter().map(stats).collect()
    }
}

impl Machine {
    fn part(&mut self) {
        if let Some((_, since)) = self.here.take() {
            self.before += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_comes_again_is_the_one_it_was() {
        let mut machines = Machines::default();
        let first = machines.meet([1; 16], "one", 2);
        let other = machines.meet([2; 16], "one", 4);
        machines.part(first);
        let again = machines.meet([1; 16], "one", 2);
        // What became of its first connection is known late.
        machines.lost(first);
        assert_eq!([first, other, again].map(|site| machines.number(site)), [Some(0), Some(1), Some(0)]);
        assert_eq!(machines.number(Site::HERE), None);
        let told = |machines: &Machines| machines.stats().iter().map(|m| (m.slots, m.times_lost)).collect::<Vec<_>>();
        assert_eq!(told(&machines), [(2, 1), (4, 0)]);
        machines.part(again);
        assert_eq!(told(&machines), [(0, 1), (4, 0)]);
        let restarted = machines.meet([3; 16], "one", 3);
        assert_eq!((machines.number(restarted), told(&machines)), (Some(0), vec![(3, 1), (4, 0)]));
    }
}
