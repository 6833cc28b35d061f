"""Cash that moved without an execution: what came in or went out, and what was a result of the account itself."""

from __future__ import annotations

from django.db import models

from events.wording import money_text


class CashFlow(models.Model):
    """One movement of cash. Written by the worker when two comparisons find it; a person says later what it was."""

    class Kind(models.TextChoices):
        DEPOSIT = "deposit", "Deposit"
        WITHDRAWAL = "withdrawal", "Withdrawal"
        DIVIDEND = "dividend", "Dividend"
        INTEREST = "interest", "Interest"
        FEE = "fee", "Fee"
        TAX = "tax", "Tax withheld"
        OTHER = "result", "Another result"  # a fill that is counted wrong, and whatever else is neither paid in nor out

    class Source(models.TextChoices):
        BROKER = "broker", "The broker's cash"
        PERSON = "person", "A person"

    account = models.CharField(max_length=32)
    at = models.DateTimeField(help_text="When it was first seen.")
    amount = models.DecimalField(max_digits=18, decimal_places=4, help_text="A deposit is positive.")
    currency = models.CharField(max_length=3, default="USD")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    source = models.CharField(max_length=10, choices=Source.choices, help_text="By whose word it is of this kind.")
    equity_before = models.DecimalField(max_digits=18, decimal_places=4, help_text="What the account was worth just before.")
    reason = models.CharField(max_length=300, blank=True)
    by = models.CharField(max_length=150, blank=True, help_text="Who said what it was; empty while nobody has.")
    epoch = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["account", "at"])]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {money_text(self.amount)}"


PAID = (CashFlow.Kind.DEPOSIT, CashFlow.Kind.WITHDRAWAL)
