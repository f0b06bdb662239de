//! Sends RFC 9457 documents to clients that asked for them; DRF's bodies go to everybody else.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use super::RequestContext;
use super::accept::wants_problem_documents;
use crate::problem::Problem;

/// Renders a problem anew, as a document. All that the answer's headers say besides stays as it was.
pub async fn problem_documents(request: Request, next: Next) -> Response {
    if !wants_problem_documents(request.headers()) {
        return next.run(request).await;
    }
    let request_id = request.extensions().get::<RequestContext>().map(|context| context.request_id);
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let (mut parts, _) = response.into_parts();
    let (document, body) = problem.into_document(request_id).into_parts();
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    for (name, value) in &document.headers {
        parts.headers.insert(name, value.clone());
    }
    Response::from_parts(parts, body)
}
