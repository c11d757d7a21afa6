//! CHAT: messages and Jinja templates.
