"""What happened, who did it, and why it was allowed or refused."""

from secure_api.audit.events import EventName, Outcome
from secure_api.audit.writer import AuditEvent, AuditRecord, emit_recorded, forget_recorded, record_event

__all__ = ["AuditEvent", "AuditRecord", "EventName", "Outcome", "emit_recorded", "forget_recorded", "record_event"]
