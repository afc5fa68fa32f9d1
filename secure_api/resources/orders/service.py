"""What may happen to an order. No HTTP here: the pipeline has decided who may ask."""

from __future__ import annotations

from sqlalchemy import delete

from secure_api.db import AnySession
from secure_api.errors import Conflict
from secure_api.resources.orders.model import Order, OrderItem, OrderStatus

NEXT_STATUSES: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.NEW: frozenset({OrderStatus.PAID, OrderStatus.CANCELLED}),
    OrderStatus.PAID: frozenset({OrderStatus.SHIPPED, OrderStatus.CANCELLED}),
    OrderStatus.SHIPPED: frozenset({OrderStatus.DELIVERED}),
    OrderStatus.DELIVERED: frozenset(),
    OrderStatus.CANCELLED: frozenset(),
}


def change_status(order: Order, status: OrderStatus) -> None:
    """Move the order to `status`, one step at a time. Raises `Conflict` for a step that is not there."""
    current = OrderStatus(order.status)
    if status == current:
        return
    if status not in NEXT_STATUSES[current]:
        allowed = ", ".join(sorted(NEXT_STATUSES[current])) or "nothing"
        raise Conflict(f"An order that is {current} can become: {allowed}.", log_detail=f"status {current} to {status}")
    order.status = status


def delete_order(session: AnySession, order: Order) -> None:
    """Delete the order with its items."""
    session.execute(delete(OrderItem).where(OrderItem.order_id == order.id))
    session.delete(order)
