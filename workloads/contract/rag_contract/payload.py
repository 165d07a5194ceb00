"""Payload fields of every point in a collection: written by the indexer, filtered on and read by the API."""

from typing import Final

DOCUMENT_ID: Final = "document_id"
CHUNK_ID: Final = "chunk_id"
ORDINAL: Final = "ordinal"
"""Position of the chunk in its document, from 0."""
TITLE: Final = "title"
HEADING: Final = "heading"
"""Path of headings above the chunk, joined by " > "; empty when there is none."""
URL: Final = "url"
"""Where a reader finds the document; null when the document names none."""
PAGE: Final = "page"
"""Page from 1, or null for formats without pages."""
LINE_START: Final = "line_start"
LINE_END: Final = "line_end"
"""Lines of the source file from 1, both included."""
TENANT: Final = "tenant"
ROLES: Final = "roles"
"""Roles of which a reader needs one."""
TEXT: Final = "text"

EVERYBODY: Final = "*"
"""The role that every reader of the tenant has."""

INDEXED_KEYWORDS: Final = (TENANT, ROLES, DOCUMENT_ID)
"""Fields with a payload index: strict mode refuses a filter on any other."""

READ: Final = (DOCUMENT_ID, CHUNK_ID, ORDINAL, TITLE, HEADING, URL, PAGE, LINE_START, LINE_END, TEXT)
"""Fields that an answer needs; tenant and roles stay in the store."""
