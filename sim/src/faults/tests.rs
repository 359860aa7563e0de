use super::*;

fn shape(nodes: usize) -> Shape {
    Shape {
        nodes,
        founders: nodes / 2 + 1,
        groups: 2,
        election: Duration::from_millis(100),
        until: Time::from_millis(5_000),
    }
}

#[test]
fn faults_come_in_order_of_time_and_every_kind_comes_up() {
    let all = Family::ALL.map(|family| (family, 20)).into();
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let faults = draw(seed, &all, &shape(5));
        assert!(faults.windows(2).all(|pair| pair[0].at <= pair[1].at));
        kinds.extend(faults.iter().map(|planned| planned.what.kind()));
    }
    assert_eq!(kinds.len(), 35, "{kinds:?}");
}

#[test]
fn one_family_more_does_not_change_the_others() {
    let few = draw(3, &[(Family::Crashes, 5)].into(), &shape(3));
    let more = [(Family::Crashes, 5), (Family::Disks, 5)].into();
    let more = draw(3, &more, &shape(3));
    assert!(few.iter().all(|fault| more.contains(fault)));
    assert!(more.len() > few.len());
}

#[test]
fn a_lone_node_has_no_links_to_cut() {
    let faults = draw(1, &[(Family::Partitions, 20)].into(), &shape(1));
    for planned in faults {
        if let Fault::Cut { links, .. } | Fault::SlowLinks { links, .. } = planned.what {
            assert_eq!(links, []);
        }
    }
}
