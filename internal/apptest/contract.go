package apptest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// A contract is the OpenAPI document of a server. The responses of the API for programs are checked
// against it.
type contract struct {
	once   sync.Once
	router routers.Router
	hooks  map[string]*openapi3.PathItem // by the type of the message
	err    error
}

// read requests the document at its first call.
func (k *contract) read(c *Client) error {
	k.once.Do(func() {
		answer, err := c.HTTP.Get(c.base + "/api/openapi.json")
		if err != nil {
			k.err = err
			return
		}
		defer answer.Body.Close()
		doc, err := openapi3.NewLoader().LoadFromIoReader(answer.Body)
		if err == nil {
			err = doc.Validate(context.Background())
		}
		if err == nil {
			k.hooks = doc.Webhooks
			k.router, err = legacy.NewRouter(doc)
		}
		k.err = err
	})
	return k.err
}

// Message checks a message to a webhook against the OpenAPI document of the server, and returns its
// type.
func (c *Client) Message(body []byte) (kind string) {
	c.t.Helper()
	if err := c.contract.read(c); err != nil {
		c.t.Fatalf("the OpenAPI document: %v", err)
	}
	var message map[string]any
	if err := json.Unmarshal(body, &message); err != nil {
		c.t.Fatalf("%s: %v", body, err)
	}
	kind, _ = message["type"].(string)
	hook := c.contract.hooks[kind]
	if hook == nil {
		c.t.Errorf("the message %q is not in the OpenAPI document", kind)
		return kind
	}
	schema := hook.Post.RequestBody.Value.Content.Get("application/json").Schema.Value
	if err := schema.VisitJSON(message); err != nil {
		c.t.Errorf("the message %s is not as the OpenAPI document has it: %v", body, err)
	}
	return kind
}

// holds checks a response against the document, except in benchmarks.
func (k *contract) holds(c *Client, method, path string, status int, h http.Header, text []byte) {
	c.t.Helper()
	if _, measures := c.t.(*testing.B); measures || !strings.HasPrefix(path, "/api/v1/") ||
		method == http.MethodHead {
		return
	}
	if err := k.read(c); err != nil {
		c.t.Errorf("the OpenAPI document: %v", err)
		return
	}
	// The router matches the decoded path, in which %2F would begin a new segment.
	r := httptest.NewRequest(method, strings.ReplaceAll(path, "%2F", "-"), nil)
	route, parameters, err := k.router.FindRoute(r)
	if err != nil {
		if status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
			c.t.Errorf("%s %s: %d, and it is not in the OpenAPI document: %v", method, path,
				status, err)
		}
		return
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r, PathParams: parameters, Route: route,
		},
		Status: status, Header: h, Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	in.SetBodyBytes(text)
	if err := openapi3filter.ValidateResponse(context.Background(), in); err != nil {
		c.t.Errorf("the answer of %s %s is not as the OpenAPI document has it: %v", method,
			path, err)
	}
}
