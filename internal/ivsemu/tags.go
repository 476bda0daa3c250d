package ivsemu

import (
	"maps"
)

// The tag operations have the ARN of their resource in the path, percent-escaped: GET
// /tags/arn%3Aaws%3Aivs%3A….

func listTags(e *Emulator, r *request) (any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	resource, err := e.state.tagged(r.region, r.arn)
	if err != nil {
		return nil, err
	}
	return &tagsOut{maps.Clone(resource.Tags)}, nil
}

func tagResource(e *Emulator, r *request) (any, error) {
	return op(func(e *Emulator, r *request, in *tagsIn) (*empty, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		resource, err := e.state.tagged(r.region, r.arn)
		if err != nil {
			return nil, err
		}
		merged := maps.Clone(resource.Tags)
		maps.Copy(merged, in.Tags)
		if len(merged) > maxTags {
			return nil, invalid("A resource has at most %d tags.", maxTags)
		}
		resource.Tags = merged
		return &empty{}, nil
	})(e, r)
}

func untagResource(e *Emulator, r *request) (any, error) {
	keys := r.query["tagKeys"]
	var c checker
	c.required("tagKeys", len(keys) > 0)
	for _, key := range keys {
		c.tagKey("tagKeys", key)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	resource, err := e.state.tagged(r.region, r.arn)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		delete(resource.Tags, key)
	}
	return &empty{}, nil
}
