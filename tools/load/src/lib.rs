//! Native clients of millrace: publishers and viewers without a browser.
