package gateway

import (
	"sync"

	"airfield/internal/fault"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// Allowance is an amount that some calls may cost together, hard as a budget: the most that a call can cost is held before
// anything is sent. It is safe for concurrent use.
type Allowance struct {
	mu   sync.Mutex
	left money.Nanos
}

// NewAllowance returns one of an amount.
func NewAllowance(amount money.Nanos) *Allowance { return &Allowance{left: amount} }

// Left is what is neither spent nor held.
func (a *Allowance) Left() money.Nanos {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.left
}

func (a *Allowance) take(n money.Nanos) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n > a.left {
		return fault.New(fault.Limited, "allowance_spent", "the call can cost %s, and %s are left of what these calls may cost", n, a.left)
	}
	a.left -= n
	return nil
}

// allowed is what a call holds of an allowance, and of the budgets below it where there are any.
type allowed struct {
	of    *Allowance
	held  money.Nanos
	below Hold
}

func (h *allowed) Raise(most Amount) error {
	if more := most.USD - h.held; more > 0 {
		if err := h.of.take(more); err != nil {
			return err
		}
		h.held = most.USD
	}
	if h.below != nil {
		return h.below.Raise(most)
	}
	return nil
}

func (h *allowed) Settle(used Amount) {
	h.of.mu.Lock()
	h.of.left += h.held - used.USD
	h.of.mu.Unlock()
	if h.below != nil {
		h.below.Settle(used)
	}
}

func (h *allowed) Mark(row *llm.Call) {
	if h.below != nil {
		h.below.Mark(row)
	}
}
