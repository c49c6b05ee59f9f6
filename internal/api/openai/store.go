package openai

import (
	"net/http"
	"slices"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

// chunking is the hosted API's word for how documents are cut.
type chunking struct {
	Type   string `json:"type"`
	Static struct {
		Max     int `json:"max_chunk_size_tokens"`
		Overlap int `json:"chunk_overlap_tokens"`
	} `json:"static"`
}

type storeRequest struct {
	Name         *string           `json:"name"`
	Description  *string           `json:"description"`
	FileIDs      []string          `json:"file_ids"`
	Metadata     map[string]string `json:"metadata"`
	Chunking     *chunking         `json:"chunking_strategy"`
	ExpiresAfter any               `json:"expires_after"`
}

func (q storeRequest) check() error {
	if q.ExpiresAfter != nil {
		return fault.New(fault.Invalid, "expires_after", "expires_after is not offered: a collection is kept until it is deleted").At("expires_after")
	}
	if q.Chunking != nil && q.Chunking.Type != "auto" && q.Chunking.Type != "static" {
		return fault.New(fault.Invalid, "chunking_strategy", "chunking_strategy.type must be auto or static, not %q", q.Chunking.Type).At("chunking_strategy.type")
	}
	return nil
}

func (d *Door) createStore(_ http.ResponseWriter, r *http.Request) (any, error) {
	var q storeRequest
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	n := ingest.NewCollection{Metadata: q.Metadata}
	if q.Name != nil {
		n.Title = *q.Name
	}
	config := ingest.DefaultCollection()
	config.Defaults.Tier = caller.From(r.Context()).Clearance // nobody with less sees what is put in
	if q.Description != nil {
		config.Description = *q.Description
	}
	if q.Chunking != nil && q.Chunking.Type == "static" {
		config.Chunking.Tokens, config.Chunking.Max, config.Chunking.Overlap = q.Chunking.Static.Max, q.Chunking.Static.Max, q.Chunking.Static.Overlap
	}
	n.Config = &config
	for _, id := range q.FileIDs { // before anything is made
		if _, err := d.Ingest.GetFile(r.Context(), id); err != nil {
			return nil, err
		}
	}
	c, err := d.Ingest.CreateCollection(r.Context(), n)
	if err != nil {
		return nil, err
	}
	for _, id := range q.FileIDs {
		if _, err := d.Ingest.AttachFile(r.Context(), c.ID, id, nil); err != nil {
			return nil, err
		}
	}
	return d.storeObject(r, c)
}

func (d *Door) listStores(_ http.ResponseWriter, r *http.Request) (any, error) {
	after, limit, err := paging(r, 20)
	if err != nil {
		return nil, err
	}
	all, err := d.Ingest.ListCollections(r.Context())
	if err != nil {
		return nil, err
	}
	if after != "" {
		at := slices.IndexFunc(all, func(c ingest.Collection) bool { return c.ID == after })
		if at < 0 { // from the beginning again would have no end
			return nil, fault.New(fault.NotFound, "collection_not_found", "there is no vector store %q to continue after", after).At("after")
		}
		all = all[at+1:]
	}
	type shown struct {
		id     string
		object any
	}
	var list []shown
	for i := 0; i < len(all) && len(list) <= limit; i++ {
		object, err := d.storeObject(r, all[i])
		if fault.Is(err, fault.NotFound) {
			continue // deleted since
		}
		if err != nil {
			return nil, err
		}
		list = append(list, shown{all[i].ID, object})
	}
	return page(list, limit, func(s shown) any { return s.object }, func(s shown) string { return s.id }), nil
}

func (d *Door) getStore(_ http.ResponseWriter, r *http.Request) (any, error) {
	c, err := d.Ingest.GetCollection(r.Context(), r.PathValue("store"))
	if err != nil {
		return nil, err
	}
	return d.storeObject(r, c)
}

func (d *Door) updateStore(_ http.ResponseWriter, r *http.Request) (any, error) {
	var q storeRequest
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	c, err := d.Ingest.UpdateCollection(r.Context(), r.PathValue("store"), ingest.CollectionUpdate{Title: q.Name, Metadata: q.Metadata})
	if err != nil {
		return nil, err
	}
	return d.storeObject(r, c)
}

func (d *Door) deleteStore(_ http.ResponseWriter, r *http.Request) (any, error) {
	if err := d.Ingest.DeleteCollection(r.Context(), r.PathValue("store")); err != nil {
		return nil, err
	}
	return deleted("vector_store", r.PathValue("store")), nil
}

// counts are a store's files by what became of them, in the hosted API's words.
type counts struct {
	InProgress int `json:"in_progress"`
	Completed  int `json:"completed"`
	Failed     int `json:"failed"`
	Cancelled  int `json:"cancelled"`
	Total      int `json:"total"`
}

func (d *Door) storeObject(r *http.Request, c ingest.Collection) (any, error) {
	status, err := d.Ingest.Status(r.Context(), c.ID)
	if err != nil {
		return nil, err
	}
	var n counts
	for state, count := range status.Versions {
		n.Total += count
		switch fileStatus(state) {
		case "in_progress":
			n.InProgress += count
		case "completed":
			n.Completed += count
		case "failed":
			n.Failed += count
		default:
			n.Cancelled += count
		}
	}
	state := "completed"
	if n.InProgress > 0 {
		state = "in_progress"
	}
	name := c.Title
	if name == "" {
		name = c.Name
	}
	metadata := c.Metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	return map[string]any{
		"id": c.ID, "object": "vector_store", "created_at": c.CreatedAt.Unix(), "name": name, "description": c.Config.Description, "usage_bytes": status.Bytes,
		"file_counts": n, "status": state, "expires_after": nil, "expires_at": nil, "last_active_at": c.UpdatedAt.Unix(), "metadata": metadata,
	}, nil
}

func fileStatus(state string) string {
	switch state {
	case ingest.Pending, ingest.Running:
		return "in_progress"
	case ingest.Live:
		return "completed"
	case ingest.Dead:
		return "failed"
	}
	return "cancelled"
}
