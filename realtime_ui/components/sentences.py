"""How known event types read: sentences with `{field}` of the payload, the first whose fields are all there.

`{changes}` lists an object of changes. An app hands its own table to `live_feed(…, sentences=…)`.
"""

SENTENCES: dict[str, list[str]] = {
    "project.created": ["{by.name} created the project {name}", "The project {name} was created"],
    "project.updated": ["{by.name} changed {changes}", "{changes}"],
    "project.archived": ["{by.name} archived the project", "The project was archived"],
    "session.started": ["{by.name} started the session", "The session started"],
    "session.message": ["{author.name}: {text}", "{text}"],
    "session.ended": ["{by.name} ended the session", "The session ended"],
    "obligation.created": ["New obligation: {title}, due {due}", "New obligation: {title}"],
    "obligation.changed": ["{title}: {changes}", "An obligation changed: {changes}"],
    "obligation.fulfilled": ["{title} is fulfilled"],
    "organization.updated": ["{changes}"],
    "user.notified": ["{text}"],
    "system.notice": ["{text}"],
}
