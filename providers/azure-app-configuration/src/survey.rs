//! Looks at everything below the prefix as a newcomer does.

use repin_provider::{Key, Result, Surveyed};

use crate::AppConfiguration;
use crate::convert::Kept;
use crate::names::is_ledger;

impl AppConfiguration {
    /// Looks at everything below the prefix under the target's label, or behind the snapshot that its readers follow
    /// where there is one: ceil(N/100) lists.
    ///
    /// # Errors
    /// Fails as a whole.
    pub async fn survey(&self) -> Result<Vec<Surveyed>> {
        let (found, served) = match self.names.reference() {
            None => (self.list(&self.names.data()).await?, true),
            Some(reference) => {
                let frozen = self.served().await?;
                let is_served = !frozen.is_empty();
                let mut found = if is_served { frozen } else { self.list(&self.names.surroundings()).await? };
                found.retain(|kept| kept.key != reference);
                (found, is_served)
            }
        };
        let ours = found.into_iter().filter(|kept| !is_ledger(&kept.key) && kept.key.starts_with(self.names.prefix()));
        Ok(ours.map(|kept| self.surveyed(kept, served)).collect())
    }

    async fn list(&self, selector: &azure_data_app_configuration::KeyValueSelector) -> Result<Vec<Kept>> {
        Ok(self.store.list(selector, Vec::new()).await?.into_items().collect())
    }

    fn surveyed(&self, kept: Kept, served: bool) -> Surveyed {
        let native = kept.key.clone();
        let key = Key::parse(native.strip_prefix(self.names.prefix()).unwrap_or(&native));
        Surveyed { native, key, item: kept.into_item(), served, tier: None, kms_key: None, special: Vec::new() }
    }
}
