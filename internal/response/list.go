package response

import (
	"context"
	"encoding/json"
	"slices"

	"airfield/internal/fault"
)

// Get returns a response as it was given, without the passages of its searches.
func (s *Service) Get(ctx context.Context, id string) (json.RawMessage, error) {
	of, err := scopeOf(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.one(ctx, of, id)
	return r.response, err
}

// Cancel refuses: only what runs in the background could be cancelled, and nothing does.
func (s *Service) Cancel(ctx context.Context, id string) error {
	of, err := scopeOf(ctx)
	if err != nil {
		return err
	}
	if _, err := s.one(ctx, of, id); err != nil {
		return err
	}
	return fault.New(fault.Invalid, "response_not_in_background", "response %q was not made in the background, so there is nothing to cancel", clip(id)).
		Hinted("a response on its way is cancelled by closing its connection")
}

// Page chooses from a list of items.
type Page struct {
	After string // the id of the item before the page
	Limit int
	Asc   bool // the first item first; by default the last one
}

// Items is a page of them.
type Items struct {
	Object  string            `json:"object"`
	Data    []json.RawMessage `json:"data"`
	FirstID *string           `json:"first_id"`
	LastID  *string           `json:"last_id"`
	HasMore bool              `json:"has_more"`
}

// InputItems lists the items that a response was asked with; those of the conversation before it are its predecessors'.
func (s *Service) InputItems(ctx context.Context, id string, p Page) (Items, error) {
	of, err := scopeOf(ctx)
	if err != nil {
		return Items{}, err
	}
	r, err := s.one(ctx, of, id)
	if err != nil {
		return Items{}, err
	}
	all := r.input
	if !p.Asc {
		slices.Reverse(all)
	}
	if p.After != "" {
		at := slices.IndexFunc(all, func(i json.RawMessage) bool { return idOf(i) == p.After })
		if at < 0 {
			return Items{}, fault.New(fault.NotFound, "item_not_found", "there is no item %q to continue after", clip(p.After)).At("after")
		}
		all = all[at+1:]
	}
	list := Items{Object: "list", Data: []json.RawMessage{}, HasMore: len(all) > p.Limit}
	list.Data = append(list.Data, all[:min(len(all), p.Limit)]...)
	if n := len(list.Data); n > 0 {
		first, last := idOf(list.Data[0]), idOf(list.Data[n-1])
		list.FirstID, list.LastID = &first, &last
	}
	return list, nil
}
