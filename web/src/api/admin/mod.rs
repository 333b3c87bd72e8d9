//! `/api/admin`: what the operators' pages show and do, as JSON for their programs and for the pages' scripts.
//! One file a noun; a list is `{"items": […], "next": a cursor or null}`.
