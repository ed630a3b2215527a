//! Why a page shows no next one.

use thiserror::Error;

/// Why paging can't go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PaginateError {
    /// `paginate: none`, but the server says that there is more.
    #[error("the job reads one page (paginate: none), but {evidence}; choose a paginator")]
    MoreThanOnePage {
        /// What the server said.
        evidence: String,
    },
    /// `more` is true on an empty page.
    #[error(
        "page {page} is empty, though the server says that there are more rows, and the next one is asked for by the rows that came; check \
         'more'{or}"
    )]
    EmptyButMore {
        /// The page, from 1.
        page: u64,
        /// What else helps.
        or: &'static str,
    },
    /// Pages came with rows, none of them new.
    #[error(
        "pages {} and {page} brought rows, but none that an earlier page hadn't: the server seems to ignore '{place}', or the \
         data moves while it is read; check the place, or sort by a column that doesn't change", page - 1
    )]
    NoProgress {
        /// The later page, from 1.
        page: u64,
        /// What the paginator writes its position to.
        place: String,
    },
    /// Far more rows came than the server states.
    #[error(
        "{received} rows have come by page {page}, more than twice the {total} that the server states: it seems to ignore the place in \
         the list that is asked for, or `paginate.total` looks at another number; check both, and name the `key` of a row, by which rows \
         that come again are known"
    )]
    FarBeyondTotal {
        /// The page, from 1.
        page: u64,
        /// Rows received.
        received: u64,
        /// The total that was stated last.
        total: u64,
    },
    /// A page has more rows than asked for, and the next one begins the size asked for further on.
    #[error(
        "page {page} has {rows} rows where {size} were asked for, and by `advance: size` the next one begins {size} rows further on, so \
         that rows would come twice; make `size` what the server sends at a time, or leave `advance` out"
    )]
    MoreThanAsked {
        /// The page, from 1.
        page: u64,
        /// Its rows.
        rows: u64,
        /// Rows asked for.
        size: u64,
    },
    /// Page after page had no rows, and gave something to move on by.
    #[error(
        "the last {pages} pages had no rows, and each pointed to another one; check in `paginate` where the {what} is read; if the server \
         skips that much, say by `max_pages` how far to go on"
    )]
    OnlyEmptyPages {
        /// How many.
        pages: u64,
        /// `cursor`, `link`, or what says that there is more.
        what: &'static str,
    },
    /// More pages than `max_pages`.
    #[error(
        "page {pages} is the last that max_pages allows, and the server may have more; raise max_pages, or make the slices smaller"
    )]
    MaxPages {
        /// The ceiling.
        pages: u64,
    },
    /// Rows came after an empty page, where the place counts the rows received.
    #[error(
        "page {} was empty, and page {page} after it has rows: the server hides rows after it has counted them, or answered the empty \
         page by mistake, so rows may be missing; for a server that hides rows write `advance: size` in `paginate.offset`", page - 1
    )]
    RowsAfterEmpty {
        /// The later page, from 1.
        page: u64,
    },
    /// A page has more records than asked for, and not all of them are rows, where the place counts the rows received.
    #[error(
        "page {page} has {rows} records where {size} rows were asked for, and {unlike} of them is no row, such as a message of the server \
         behind them: the next page would begin too far on, and rows would be missing; see what the server sends there"
    )]
    NoRowsCounted {
        /// The page, from 1.
        page: u64,
        /// Its records.
        rows: u64,
        /// Rows asked for.
        size: u64,
        /// Records that are no rows.
        unlike: u64,
    },
    /// The last row of a page has no value to seek by.
    #[error("the last row of page {page} has no value to seek by; check 'value' of paginate.seek against the records")]
    NoSeekValue {
        /// The page, from 1.
        page: u64,
    },
    /// The last row of a page has no value to move on by.
    #[error(
        "the last row of page {page} has nothing to move on by: '{expression}' is null there; check it against the records, or say \
         by 'more' when there is no other page"
    )]
    NoCursorInRow {
        /// The page, from 1.
        page: u64,
        /// The expression.
        expression: String,
    },
    /// The value of the last row isn't a number or a text.
    #[error(
        "the last row of page {page} has the seek value {value}, which is no number and no text; check 'value' of paginate.seek"
    )]
    SeekValue {
        /// The page, from 1.
        page: u64,
        /// The value, as JSON.
        value: String,
    },
    /// The value of the last row lies before the one that was asked from.
    #[error(
        "the seek value of page {page} is {value}, which isn't {wanted} {from}, from where the page was asked: the server ignores \
         '{place}', or doesn't sort by it in the order '{order}'"
    )]
    SeekBackwards {
        /// The page, from 1.
        page: u64,
        /// The value of the last row, as JSON.
        value: String,
        /// The value asked from, as JSON.
        from: String,
        /// `after`, `at or after`, `before`, `at or before`.
        wanted: &'static str,
        /// Where the value is written to.
        place: String,
        /// `asc` or `desc`.
        order: &'static str,
    },
    /// The first row of a page lies behind the last one.
    #[error(
        "page {page} isn't sorted: its first row has the seek value {first}, its last one {last}, and `order` says '{order}'; rows would be \
         left out: ask the server to sort by that value, or correct `order`"
    )]
    SeekUnsorted {
        /// The page, from 1.
        page: u64,
        /// The value of the first row, as JSON.
        first: String,
        /// The value of the last row, as JSON.
        last: String,
        /// `asc` or `desc`.
        order: &'static str,
    },
    /// The row with the very value asked from came again, and nothing tells that it did.
    #[error(
        "page {page} begins with the seek value {value}, from which it was asked: the server includes it, and rows would come twice; write \
         `bound: inclusive`, and the `key` of a row, by which those that come again are known"
    )]
    SeekNotExclusive {
        /// The page, from 1.
        page: u64,
        /// The value, as JSON.
        value: String,
    },
    /// Rows share the value that the next page begins behind.
    #[error(
        "page {page} ends with rows that share the seek value {value}, and the next one is asked for behind it (`bound: exclusive`): rows \
         with that value that had no room on the page would be missing; write `bound: inclusive`, and the `key` of a row, by which those \
         that come again are known, or seek by a value that no two rows share"
    )]
    SeekCutsEquals {
        /// The page that ends with them, from 1.
        page: u64,
        /// The value, as JSON.
        value: String,
    },
    /// The value of the last row lies out of the window.
    #[error(
        "the seek value of page {page} is {value}, beyond {limit}, where the window ends: the server ignores the window's other edge"
    )]
    SeekOutOfWindow {
        /// The page, from 1.
        page: u64,
        /// The value, as JSON.
        value: String,
        /// The edge of the window, as JSON.
        limit: String,
    },
    /// A whole page shares one value.
    #[error(
        "more rows share the seek value {value} than a page of {rows} holds, so the rows after them can't be reached; raise \
         'size', or seek by a value with fewer equals"
    )]
    SharedByMoreThanAPage {
        /// The value, as JSON.
        value: String,
        /// Rows of the largest page.
        rows: u64,
    },
    /// A whole page goes on at one value (`overlap`).
    #[error(
        "{rows} rows go on at the seek value {value}, as many as a page holds, so those that ended before can't be reached; raise \
         'size'"
    )]
    MoreOverlapThanAPage {
        /// The value, as JSON.
        value: String,
        /// Rows of the page.
        rows: u64,
    },
    /// The last page is full, and all its rows share one value.
    #[error(
        "the last page is full: all its {rows} rows share the seek value {value}, and there may be more of them, which can't be \
         reached; raise 'size', or seek by a value with fewer equals"
    )]
    FullOfOneValue {
        /// The value, as JSON.
        value: String,
        /// Rows of the page.
        rows: u64,
    },
    /// `more` is true, but there is nothing to move on by.
    #[error(
        "page {page} says that there is another, but gives no {what} to ask for it by; check 'more', and the expression of the \
         {what}"
    )]
    MoreButNoWay {
        /// The page, from 1.
        page: u64,
        /// `cursor` or `link`.
        what: &'static str,
    },
    /// A number in the cursor can't be kept as it is written.
    #[error(
        "page {page} gives the cursor {cursor}, a number that can't be kept and sent back as it is written; let the expression make a \
         text of it (`| tostring`), or ask the API for one"
    )]
    InexactCursor {
        /// The page, from 1.
        page: u64,
        /// The cursor, or the number in it, as JSON.
        cursor: String,
    },
    /// A cursor that is no place in a list.
    #[error(
        "page {page} gives the cursor {cursor}, which names no place to go on from; if the server says by false that there is no more, let the \
         expression make null of it (`// null`), or name it as `more`"
    )]
    BooleanCursor {
        /// The page, from 1.
        page: u64,
        /// True or false.
        cursor: serde_json::Value,
    },
    /// The cursor or link is from a header whose bytes aren't UTF-8.
    #[error(
        "page {page} gives {given} to go on by, from a header whose bytes are no UTF-8 (each that isn't is shown as \u{fffd}), so it can't \
         be sent back as it came; ask the API for it in the body, or escaped"
    )]
    Unreadable {
        /// The page, from 1.
        page: u64,
        /// The cursor or link, as JSON.
        given: String,
    },
    /// The value to seek by has more digits than are kept.
    #[error(
        "the last row of page {page} has the seek value {value}, a number with more digits than can be kept, so the next page would begin \
         elsewhere; let the expression make a text of it (`| tostring`), ask the API for one, or seek by another value"
    )]
    InexactSeek {
        /// The page, from 1.
        page: u64,
        /// The number as it is written.
        value: String,
    },
    /// The link isn't a text.
    #[error("page {page} gives {found} for its next link, which is no text; check paginate.next_link")]
    LinkType {
        /// The page, from 1.
        page: u64,
        /// What the expression gave, as JSON.
        found: String,
    },
    /// The link isn't a URL.
    #[error("the next link of page {page} isn't a URL: {reason}; check paginate.next_link")]
    Link {
        /// The page, from 1.
        page: u64,
        /// Why not.
        reason: String,
    },
    /// The header with the link isn't a list of links (RFC 8288).
    #[error(
        "the header '{name}' of page {page} can't be read: {reason}, so it may name a next page that would be missed; tell the server's \
         owner (RFC 8288 has `<https://host/list?page=2>; rel=\"next\"`), or use another paginator"
    )]
    LinkHeader {
        /// The page, from 1.
        page: u64,
        /// The header, in lower case.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The link leads to another origin.
    #[error(
        "the next link of page {page} leads to {to}, but the request went to {from}: credentials follow no link to another \
         origin; if it is the same server, write that origin as 'base_url'"
    )]
    ForeignLink {
        /// The page, from 1.
        page: u64,
        /// The link's origin.
        to: String,
        /// The request's origin.
        from: String,
    },
    /// `total` isn't a number of rows.
    #[error("the total is {found}; it must be a whole number, or its digits in a string, or null where none is stated")]
    Total {
        /// What the expression gave, as JSON.
        found: String,
    },
}
