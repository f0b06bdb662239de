//! What strangers read of our events: the AsyncAPI document, and the schema behind every `dataschema`.

use shared::contracts::EventType;
use shared::event_documents::{asyncapi, event_schema};

use crate::harness::Api;

#[tokio::test]
async fn the_schema_of_every_event_is_served_where_its_dataschema_says() {
    let api = Api::start().await;
    for event in EventType::ALL {
        let path = event.data_schema();
        let answer = api.client.get(&path).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/schema+json");
        assert_eq!(Some(answer.body), event_schema(&path));
    }
    for unknown in ["/schemas/task.created/v2", "/schemas/task.created/1", "/schemas/x/v1", "/schemas/%ff/v1"]
    {
        assert_eq!(api.client.get(unknown).await.expect(404).text("detail"), "Not found.");
    }
}

#[tokio::test]
async fn the_asyncapi_document_is_served_to_anybody_whatever_he_accepts() {
    let api = Api::start().await;
    for accept in ["application/vnd.aai.asyncapi+json", "text/html", "*/*"] {
        let request =
            api.client.request(reqwest::Method::GET, "/api/events/schema/").header("accept", accept);
        let answer = test_support::api::send(request).await.expect(200);
        assert!(answer.header("content-type").starts_with("application/vnd.aai.asyncapi+json"));
        assert_eq!(answer.body, asyncapi());
    }
}
