//! Whether nodes hear those that they should, and nobody else.

use synod_core::NodeId;
use synod_proto::{Judgement, Verdict};

use super::Suite;
use super::frames::{small, until_arrived};
use super::host::{Host, Who, cluster, end, who};

/// An error if anything was handed in at one of these.
fn nothing_came(hosts: &[&Host], why: &str) -> Result<(), String> {
    for host in hosts {
        if let Some((from, packet)) = host.record.got().packets.first() {
            let node = host.node;
            return Err(format!("node {node} was handed {packet:?} of node {from}, {why}"));
        }
    }
    Ok(())
}

/// Two nodes that are told each other's address, and are of different clusters.
pub(super) fn clusters_are_kept_apart(suite: &Suite) -> Result<(), String> {
    let (at_one, at_other, at_two) =
        (suite.setup.address(), suite.setup.address(), suite.setup.address());
    let one = Host::start(suite, &at_one, &who(1))?;
    let other = Host::start(suite, &at_other, &Who { cluster: 8, ..who(2) })?;
    one.connect(2, &at_other)?;
    other.connect(1, &at_one)?;
    let apart = || nothing_came(&[&one, &other], "which is of another cluster");
    let mut sent = 0;
    suite.until(
        || "a connection between nodes of different clusters was turned away".into(),
        || {
            sent += 1;
            one.send(2, vec![small(sent)])?;
            other.send(1, vec![small(sent)])?;
            apart()?;
            Ok(one.refused()?.count > 0 && other.refused()?.count > 0)
        },
    )?;
    // The right one is heard, and the wrong one still is not.
    let two = Host::start(suite, &at_two, &who(2))?;
    two.connect(1, &at_one)?;
    one.connect(2, &at_two)?;
    let apart = || {
        other.send(1, vec![small(700)])?;
        if one.record.has(2, &small(700)) {
            return Err("node 1 was handed a frame of a node 2 of another cluster".into());
        }
        nothing_came(&[&other], "which is of another cluster")
    };
    until_arrived(suite, &one, &two, &small(500), apart)?;
    until_arrived(suite, &two, &one, &small(501), apart)?;
    apart()?;
    end(suite, vec![one, other, two])
}

/// A node that was told the address of node 3 for that of node 2.
pub(super) fn a_wrong_address_reaches_nobody(suite: &Suite) -> Result<(), String> {
    let (at_one, at_three) = (suite.setup.address(), suite.setup.address());
    let one = Host::start(suite, &at_one, &who(1))?;
    let three = Host::start(suite, &at_three, &who(3))?;
    one.connect(2, &at_three)?;
    three.connect(1, &at_one)?;
    three.connect(2, &suite.setup.address())?;
    let mut sent = 0;
    suite.until(
        || "node 3 has turned away a connection that was meant for node 2".into(),
        || {
            sent += 1;
            one.send(2, vec![small(sent)])?;
            nothing_came(&[&three], "meant for node 2: the address was node 3's")?;
            Ok(three.refused()?.count > 0)
        },
    )?;
    // Nor does a node hear one that it was not told of, until it is.
    suite.until(
        || "node 1 has turned away node 3, of which it was not told".into(),
        || {
            three.send(1, vec![small(600)])?;
            nothing_came(&[&one], "of which it was not told")?;
            Ok(one.refused()?.count > 0)
        },
    )?;
    one.connect(3, &at_three)?;
    let apart = || {
        one.send(2, vec![small(700)])?;
        if three.record.has(1, &small(700)) {
            return Err("node 3 was handed a frame that was meant for node 2".into());
        }
        Ok(())
    };
    until_arrived(suite, &three, &one, &small(601), apart)?;
    until_arrived(suite, &one, &three, &small(602), apart)?;
    apart()?;
    end(suite, vec![one, three])
}

/// A peer gets another address, and one is forgotten.
pub(super) fn may_move_and_leave(suite: &Suite) -> Result<(), String> {
    let (hosts, addresses) = cluster(suite, 3)?;
    let [one, two, three] = &hosts[..] else { return Err("three nodes were not started".into()) };
    until_arrived(suite, one, two, &small(1), || Ok(()))?;
    one.connect(2, &suite.setup.address())?;
    suite.until(
        || "node 2 is shown as not connected, once its address is one where nobody listens".into(),
        || Ok(!one.link(2)?.connected),
    )?;
    one.connect(2, &addresses[1])?;
    until_arrived(suite, one, two, &small(2), || Ok(()))?;
    suite.until(
        || "node 2 is shown as connected again, while frames arrive there".into(),
        || Ok(one.link(2)?.connected),
    )?;
    one.call("disconnect", |network| network.disconnect(NodeId(2)))?;
    let listed: Vec<u64> = one.status()?.iter().map(|(node, _)| node.0).collect();
    if listed != [3] {
        return Err(format!(
            "after `disconnect` of node 2 `Links::status` lists {listed:?}, not [3]"
        ));
    }
    one.send(2, vec![small(3)])?;
    until_arrived(suite, one, three, &small(5), || Ok(()))?;
    end(suite, hosts)
}

/// A peer ends and starts again at its address, and then from a copy of its old directory.
pub(super) fn may_start_again(suite: &Suite) -> Result<(), String> {
    let (mut hosts, addresses) = cluster(suite, 2)?;
    let at_three = suite.setup.address();
    let [at_one, at_two] = &addresses[..] else { return Err("two nodes were not started".into()) };
    let talk = |one: &Host, two: &Host, number| {
        until_arrived(suite, one, two, &small(number), || Ok(()))?;
        until_arrived(suite, two, one, &small(number), || Ok(()))
    };
    talk(&hosts[0], &hosts[1], 1)?;
    hosts.pop().map_or(Ok(()), |two| two.end(suite))?;
    let one = &hosts[0];
    suite.until(
        || "node 2 is shown as not connected after it has ended".into(),
        || {
            one.send(2, vec![small(2)])?;
            Ok(!one.link(2)?.connected)
        },
    )?;
    let again = |boot, nonce| {
        let two = Host::start(suite, at_two, &Who { boot, nonce, ..who(2) })?;
        two.connect(1, at_one)?;
        Ok::<Host, String>(two)
    };
    let is_told = |two: &Host, told: Judgement, number| {
        suite.until(
            || {
                format!(
                    "node 2 is told by node 1 what it makes of its start: {told:?}; every connection \
                     needs a hello of its own, and the answer to it has to arrive"
                )
            },
            || {
                two.send(1, vec![small(number)])?;
                Ok(two.record.got().judged.contains(&(NodeId(1), told)))
            },
        )
    };
    let two = again(2, 22)?;
    talk(one, &two, 3)?;
    is_told(&two, Judgement { boot: 2, nonce: 22, verdict: Verdict::Fine }, 4)?;
    two.end(suite)?;
    // From a copy that is older than what node 1 has heard of.
    let copy = again(1, 23)?;
    is_told(&copy, Judgement { boot: 1, nonce: 23, verdict: Verdict::Rollback }, 5)?;
    // Its frames do not come in beside those of a node that is heard.
    let three = Host::start(suite, &at_three, &who(3))?;
    three.connect(1, at_one)?;
    one.connect(3, &at_three)?;
    let apart = || {
        copy.send(1, vec![small(5)])?;
        if one.record.has(2, &small(5)) {
            return Err("node 1 was handed a frame of a node 2 that it had turned away".into());
        }
        Ok(())
    };
    until_arrived(suite, &three, one, &small(6), apart)?;
    until_arrived(suite, one, &three, &small(7), apart)?;
    apart()?;
    hosts.extend([copy, three]);
    end(suite, hosts)
}
