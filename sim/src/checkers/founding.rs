//! One cluster: whoever knows what it was founded from knows the same.

use synod_core::Founding;

use super::{Verdict, Violation};

/// What the cluster was founded from, once somebody knows.
#[derive(Debug, Default)]
pub struct Founded {
    first: Option<Founding>,
}

impl Founded {
    /// A node knows what its cluster was founded from.
    ///
    /// # Errors
    ///
    /// If another one knows otherwise.
    pub fn founded(&mut self, node: usize, founding: &Founding) -> Verdict {
        let first = self.first.get_or_insert_with(|| founding.clone());
        if first != founding {
            let what = format!("n{} is in {founding:?}, others are in {first:?}", node + 1);
            return Err(Violation::new("founding", what));
        }
        Ok(())
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
    }
}
