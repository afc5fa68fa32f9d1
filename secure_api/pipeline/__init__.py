"""The request path. Start with `stages.py`: it is the table of everything that happens to a request."""

from secure_api.pipeline.context import RequestContext
from secure_api.pipeline.declaration import Collection, Item, NewItem, PageQuery, Representation, StrictModel
from secure_api.pipeline.endpoint import endpoint
from secure_api.pipeline.reply import Reply

__all__ = [
    "Collection",
    "Item",
    "NewItem",
    "PageQuery",
    "Reply",
    "Representation",
    "RequestContext",
    "StrictModel",
    "endpoint",
]
