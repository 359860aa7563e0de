//! One cluster: whoever knows what it was founded from knows the same.
//!
//! A founding that only emptied disks held was one of nobody: the others may found anew.

use std::collections::BTreeMap;

use synod_core::Founding;

use super::{Verdict, Violation};

/// What the cluster was founded from, as far as each node knows.
#[derive(Debug, Default)]
pub struct Founded {
    known: BTreeMap<usize, Founding>,
}

impl Founded {
    /// A node knows what its cluster was founded from.
    ///
    /// # Errors
    ///
    /// If another one knows otherwise.
    pub fn founded(&mut self, node: usize, founding: &Founding) -> Verdict {
        if let Some((other, theirs)) = self.known.iter().find(|(_, theirs)| *theirs != founding) {
            let what =
                format!("n{} is in {founding:?}, and n{} in {theirs:?}", node + 1, other + 1);
            return Err(Violation::new("founding", what));
        }
        self.known.insert(node, founding.clone());
        Ok(())
    }

    /// A node's disk was emptied.
    pub fn wiped(&mut self, node: usize) {
        self.known.remove(&node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use synod_core::ClusterId;

    #[test]
    fn a_second_cluster_is_found() {
        let of = |cluster| Founding { cluster: ClusterId(cluster), groups: Vec::new() };
        let mut founded = Founded::default();
        assert_eq!(founded.founded(0, &of(1)), Ok(()));
        assert_eq!(founded.founded(1, &of(1)), Ok(()));
        assert!(founded.founded(2, &of(2)).is_err());
        founded.wiped(0);
        assert!(founded.founded(0, &of(2)).is_err(), "node 2 knows of the first one");
        founded.wiped(1);
        assert_eq!(founded.founded(0, &of(2)), Ok(()), "nobody does");
        assert!(founded.founded(1, &of(1)).is_err());
    }
}
