//! In virtual time: a server that finishes so many a millisecond in the order they came, and clients
//! that ask for more than that, whatever they are told.

use std::collections::VecDeque;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn settings() -> Overload {
    Overload {
        adaptive: true,
        delay_target: Duration::from_millis(25),
        proposals_max: 32_768,
        bytes_max: 1 << 26,
    }
}

/// What became of one group's proposals, once the first three seconds were over.
#[derive(Default)]
struct Tally {
    asked: usize,
    done: usize,
    refused: usize,
    times: Vec<Duration>,
}

impl Tally {
    fn slowest(&mut self, percent: usize) -> Duration {
        self.times.sort_unstable();
        self.times[(self.times.len() - 1) * percent / 100]
    }
}

/// Runs for so many seconds: each millisecond `asked[g]` proposals come to group `g` and `finished`
/// of all are finished, each after 2 ms at the soonest.
fn run(seconds: u32, asked: &[usize], finished: impl Fn(Duration) -> usize) -> Vec<Tally> {
    run_with(seconds, asked, finished, |_| MS * 2, |_, _| ())
}

/// The same over a way whose length changes; `before` sees each group at each millisecond.
fn run_with(
    seconds: u32,
    asked: &[usize],
    finished: impl Fn(Duration) -> usize,
    way: impl Fn(Duration) -> Duration,
    before: impl Fn(&mut Admission, Duration),
) -> Vec<Tally> {
    let pool = Pool::default();
    let mut groups: Vec<Admission> = asked.iter().map(|_| Admission::new(settings())).collect();
    let mut tallies: Vec<Tally> = asked.iter().map(|_| Tally::default()).collect();
    let mut queue: VecDeque<(usize, Duration)> = VecDeque::new();
    for tick in 0..seconds * 1000 {
        let now = MS * tick;
        groups.iter_mut().for_each(|group| before(group, now));
        let counts = now >= Duration::from_secs(3);
        // One of each group in turn, as they would come.
        for n in 0..asked.iter().copied().max().unwrap_or(0) {
            for (g, _) in asked.iter().enumerate().filter(|&(_, &asked)| n < asked) {
                let taken = groups[g].admit(now, 100, &pool);
                if taken.is_ok() {
                    queue.push_back((g, now));
                }
                if counts {
                    tallies[g].asked += 1;
                    tallies[g].refused += usize::from(taken.is_err());
                }
            }
        }
        for _ in 0..finished(now) {
            let Some(&(g, since)) = queue.front() else { break };
            let took = now - since;
            if took < way(now) {
                break;
            }
            queue.pop_front();
            groups[g].done(now, 100, Ended::After(took), &pool);
            if counts {
                tallies[g].done += 1;
                tallies[g].times.push(took);
            }
        }
    }
    tallies
}

#[test]
fn goodput_and_delay_hold_whatever_is_asked() {
    for times in [2, 5, 10, 50] {
        let mut tally = run(40, &[10 * times], |_| 10).remove(0);
        let peak = 37_000 * 10;
        assert!(tally.done * 100 >= peak * 90, "{times}: {} of {peak}", tally.done);
        let (half, most) = (tally.slowest(50), tally.slowest(99));
        assert!(half <= MS * 40 && most <= MS * 60, "{times}: {half:?}, {most:?}");
        assert!(tally.refused * 100 >= tally.asked * (90 - 100 / times), "the rest is refused");
    }
}

#[test]
fn below_capacity_nothing_is_refused() {
    let tally = run(30, &[9], |_| 10).remove(0);
    assert_eq!(tally.refused, 0);
}

#[test]
fn a_server_that_becomes_slower_and_recovers_is_followed() {
    let second = |now: Duration| now.as_secs();
    let slow = |now| if (10..20).contains(&second(now)) { 2 } else { 20 };
    let mut tally = run(40, &[100], slow).remove(0);
    let peak = (27 * 20 + 10 * 2) * 1000;
    assert!(tally.done * 100 >= peak * 85, "{} of {peak}", tally.done);
    let most = tally.slowest(99);
    assert!(most <= MS * 120, "{most:?}");
}

#[test]
fn a_longer_way_is_not_taken_for_a_queue() {
    let change = Duration::from_secs(10);
    let way = |now| if now < change { MS * 2 } else { MS * 80 };
    // Told that another node leads, and not told.
    let told = |group: &mut Admission, now| {
        if now == change {
            group.moved(now);
        }
    };
    let tally = run_with(40, &[9], |_| 10, way, told).remove(0);
    assert!(tally.refused * 100 <= tally.asked * 2, "{} of {}", tally.refused, tally.asked);
    let tally = run_with(40, &[9], |_| 10, way, |_, _| ()).remove(0);
    assert!(tally.refused * 100 <= tally.asked * 15, "{} of {}", tally.refused, tally.asked);
}

#[test]
fn a_loud_group_does_not_silence_a_quiet_one() {
    let tallies = run(40, &[100, 3], |_| 10);
    let quiet = &tallies[1];
    assert!(quiet.done * 100 >= quiet.asked * 70, "{} of {}", quiet.done, quiet.asked);
    let both = tallies[0].done + quiet.done;
    assert!(both * 100 >= 370_000 * 90, "{both}");
}

#[test]
fn without_adapting_only_the_limits_count() {
    let pool = Pool::default();
    let fixed = Overload { adaptive: false, proposals_max: 3, bytes_max: 100, ..settings() };
    let mut group = Admission::new(fixed);
    assert!(group.admit(MS, 500, &pool).is_ok(), "one always fits");
    assert!(group.admit(MS, 1, &pool).is_err());
    group.done(MS, 500, Ended::Otherwise, &pool);
    assert!((0..3).all(|_| group.admit(MS, 1, &pool).is_ok()));
    assert!(group.admit(MS, 1, &pool).is_err());
}

#[test]
fn what_is_refused_further_on_lowers_the_limit() {
    let pool = Pool::default();
    let mut group = Admission::new(settings());
    for _ in 0..1000 {
        group.admit(MS, 1, &pool).unwrap();
    }
    for _ in 0..500 {
        group.done(MS * 150, 1, Ended::Refused, &pool);
    }
    assert!(group.limit() < 1000, "{}", group.limit());
}

#[test]
fn a_full_node_refuses_only_what_is_more_than_a_share() {
    let pool = Pool::new(100, 1000);
    let mut loud = Admission::new(settings());
    let taken = (0..200).filter(|_| loud.admit(MS, 1, &pool).is_ok()).count();
    assert_eq!(taken, 100);
    let mut quiet = Admission::new(settings());
    let taken = (0..200).filter(|_| quiet.admit(MS, 1, &pool).is_ok()).count();
    assert_eq!(taken, 50, "half of it, for there are two");
    assert!(loud.admit(MS, 1, &pool).is_err());
    let mut large = Admission::new(settings());
    assert!(large.admit(MS, 900, &pool).is_ok(), "one always fits");
    assert!(large.admit(MS, 900, &pool).is_err());
    for _ in 0..100 {
        loud.done(MS, 1, Ended::Otherwise, &pool);
    }
    assert_eq!((pool.proposals.load(Relaxed), pool.active.load(Relaxed)), (51, 2));
}
