"""Buys, waits, cancels and lists with a client that is generated from the document.

Arguments: the public listener's address, and a member's token.
"""

import sys

from flashlane_client import AuthenticatedClient
from flashlane_client.api.members import (
    buy,
    cancel_order,
    join_waitlist,
    leave_waitlist,
    list_orders,
)
from flashlane_client.models import ClickBody, Code, OrderStatus, WaitBody

address, token = sys.argv[1:]
client = AuthenticatedClient(base_url=address, token=token)


def click():
    return buy.sync_detailed(
        "drop",
        client=client,
        body=ClickBody(units=1),
        idempotency_key="a-click-in-python",
        prefer="wait=10",
    )


bought = click()
order = bought.parsed
assert bought.status_code == 201, bought
assert order.status == OrderStatus.CONFIRMED and order.due_cents == order.price_cents, order
assert click().parsed.order_id == order.order_id, "the same key is the same order"

refused = buy.sync("gone", client=client, body=ClickBody(units=1))
assert refused.code == Code.SOLD_OUT, refused
joined = join_waitlist.sync("gone", client=client, body=WaitBody(units=1))
assert joined.position == 1, joined
assert leave_waitlist.sync_detailed("gone", client=client).status_code == 204

cancelled = cancel_order.sync(order.order_id, client=client)
assert cancelled.status == OrderStatus.CANCELLED, cancelled
listed = list_orders.sync(client=client, sale="drop")
found = [other for other in listed.orders if other.order_id == order.order_id]
assert [other.status for other in found] == [OrderStatus.CANCELLED], listed
print(f"Python: bought, waited, cancelled and listed {order.order_id}")
