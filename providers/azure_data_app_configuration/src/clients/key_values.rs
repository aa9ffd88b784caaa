//! Reading, writing, deleting and locking one key-value.

use azure_core::http::{Method, StatusCode};

use super::AppConfigurationClient;
use super::call::{Call, conditional, parse};
use crate::error::{Error, Result};
use crate::filter::select_parameter;
use crate::models::{Conditional, KeyValue, KeyValueContent};
use crate::options::{DeleteKeyValueOptions, GetKeyValueOptions, LockOptions, PutKeyValueOptions};
use crate::response::{Response, ResponseMeta};

const KV: &str = "kv";
const KV_JSON: &str = "application/vnd.microsoft.appconfig.kv+json";

impl AppConfigurationClient {
    /// Reads one key-value: exactly this key under exactly this label.
    ///
    /// # Errors
    /// `NotFound` if there is none, `PreconditionFailed`.
    pub async fn get_key_value(
        &self,
        key: &str,
        options: Option<GetKeyValueOptions<'_>>,
    ) -> Result<Response<KeyValue>> {
        let options = options.unwrap_or_default();
        let call = self.read_call("GET /kv/{key}", Method::Get, key, &options)?;
        self.fetch(call, &options.method_options.context).await
    }

    /// Reads one key-value unless it still has this etag, given without quotes.
    ///
    /// # Errors
    /// As [`get_key_value`](Self::get_key_value). The options must not hold a precondition.
    pub async fn get_key_value_if_changed(
        &self,
        key: &str,
        etag: &str,
        options: Option<GetKeyValueOptions<'_>>,
    ) -> Result<Conditional<Response<KeyValue>>> {
        const OPERATION: &str = "GET /kv/{key}";
        let options = options.unwrap_or_default();
        check_no_precondition(&options)?;
        let call = self.read_call(OPERATION, Method::Get, key, &options)?.if_changed_since(Some(etag))?;
        let response = self.send(call, &options.method_options.context).await?;
        Ok(match conditional(response) {
            Conditional::NotModified(unchanged) => Conditional::NotModified(unchanged),
            Conditional::Modified(response) => Conditional::Modified(Response {
                model: parse(OPERATION, &response)?,
                meta: ResponseMeta::new(&response),
            }),
        })
    }

    /// Asks for one key-value without its body; with an etag, given without quotes, whether it changed since.
    ///
    /// # Errors
    /// As [`get_key_value`](Self::get_key_value). With an etag, the options must not hold a precondition.
    pub async fn check_key_value(
        &self,
        key: &str,
        etag: Option<&str>,
        options: Option<GetKeyValueOptions<'_>>,
    ) -> Result<Conditional<ResponseMeta>> {
        let options = options.unwrap_or_default();
        if etag.is_some() {
            check_no_precondition(&options)?;
        }
        let call = self.read_call("HEAD /kv/{key}", Method::Head, key, &options)?.if_changed_since(etag)?;
        let response = self.send(call, &options.method_options.context).await?;
        Ok(match conditional(response) {
            Conditional::NotModified(unchanged) => Conditional::NotModified(unchanged),
            Conditional::Modified(response) => Conditional::Modified(ResponseMeta::new(&response)),
        })
    }

    /// Writes one key-value and returns it as the store holds it now.
    ///
    /// The put replaces the whole item. The store may leave an equal item untouched, with its old etag.
    ///
    /// # Errors
    /// `PreconditionFailed`, `Locked`. Where [`Error::outcome`] is [`Unknown`](crate::Outcome::Unknown) the write may
    /// have happened: read before repeating.
    pub async fn put_key_value(
        &self,
        key: &str,
        content: &KeyValueContent,
        options: Option<PutKeyValueOptions<'_>>,
    ) -> Result<Response<KeyValue>> {
        let options = options.unwrap_or_default();
        self.check_description(content.description.as_deref())?;
        let call = self
            .item_call("PUT /kv/{key}", Method::Put, KV, key, options.label)?
            .precondition(options.precondition.as_ref())?
            .json(KV_JSON, content)?;
        self.fetch(call, &options.method_options.context).await
    }

    /// Deletes one key-value and returns what it was; `None` if there was none.
    ///
    /// # Errors
    /// As [`put_key_value`](Self::put_key_value).
    pub async fn delete_key_value(
        &self,
        key: &str,
        options: Option<DeleteKeyValueOptions<'_>>,
    ) -> Result<Response<Option<KeyValue>>> {
        const OPERATION: &str = "DELETE /kv/{key}";
        let options = options.unwrap_or_default();
        let call = self
            .item_call(OPERATION, Method::Delete, KV, key, options.label)?
            .precondition(options.precondition.as_ref())?;
        let response = self.send(call, &options.method_options.context).await?;
        let is_empty = response.status() == StatusCode::NoContent || response.body().is_empty();
        let model = if is_empty { None } else { Some(parse(OPERATION, &response)?) };
        Ok(Response { model, meta: ResponseMeta::new(&response) })
    }

    /// Makes one key-value read-only and returns it. Its etag changes.
    ///
    /// # Errors
    /// `NotFound`, `PreconditionFailed`.
    pub async fn lock_key_value(&self, key: &str, options: Option<LockOptions<'_>>) -> Result<Response<KeyValue>> {
        self.change_lock("PUT /locks/{key}", Method::Put, key, options.unwrap_or_default()).await
    }

    /// Makes one key-value writable again and returns it. Its etag changes.
    ///
    /// # Errors
    /// `NotFound`, `PreconditionFailed`.
    pub async fn unlock_key_value(&self, key: &str, options: Option<LockOptions<'_>>) -> Result<Response<KeyValue>> {
        self.change_lock("DELETE /locks/{key}", Method::Delete, key, options.unwrap_or_default()).await
    }

    async fn change_lock(
        &self,
        operation: &'static str,
        method: Method,
        key: &str,
        options: LockOptions<'_>,
    ) -> Result<Response<KeyValue>> {
        let call = self
            .item_call(operation, method, "locks", key, options.label)?
            .precondition(options.precondition.as_ref())?;
        self.fetch(call, &options.method_options.context).await
    }

    fn read_call(
        &self,
        operation: &'static str,
        method: Method,
        key: &str,
        options: &GetKeyValueOptions<'_>,
    ) -> Result<Call> {
        let label = label_parameter(options.label.clone());
        let tags = options.tags.iter().map(|tag| ("tags", tag.to_filter()));
        let query = label.into_iter().chain(tags).chain(select_parameter(&options.select));
        let call = self.call(operation, method, KV, Some(key), query)?;
        Ok(call.accept("kv").precondition(options.precondition.as_ref())?.accept_datetime(options.accept_datetime))
    }

    fn item_call(
        &self,
        operation: &'static str,
        method: Method,
        resource: &str,
        key: &str,
        label: Option<String>,
    ) -> Result<Call> {
        Ok(self.call(operation, method, resource, Some(key), label_parameter(label))?.accept("kv"))
    }
}

/// Returns the label of one key-value as a parameter; left out, it means "no label" here.
fn label_parameter(label: Option<String>) -> Option<(&'static str, String)> {
    label.filter(|label| !label.is_empty()).map(|label| ("label", label))
}

fn check_no_precondition(options: &GetKeyValueOptions<'_>) -> Result<()> {
    match options.precondition {
        Some(_) => Err(Error::invalid_input("a read that is conditional on a change takes no further precondition")),
        None => Ok(()),
    }
}
