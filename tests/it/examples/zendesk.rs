//! Zendesk: lists by `links.next` and `meta.has_more`.
//! <https://developer.zendesk.com/api-reference/introduction/pagination/>
