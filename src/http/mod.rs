//! REST, health, and the web app.
