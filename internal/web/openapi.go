package web

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
)

// object is a JSON object that is being built.
type object = map[string]any

// openAPI serves the OpenAPI 3.1 document, generated from the table of operations.
func openAPI(operations []operation, version string) route {
	d := &document{schemas: object{}}
	paths := object{}
	for _, o := range operations {
		path, _ := paths["/api/v1"+o.path].(object)
		if path == nil {
			path = object{}
			paths["/api/v1"+o.path] = path
		}
		path[strings.ToLower(o.method)] = d.operation(o)
	}
	d.schema(reflect.TypeFor[Problem]())
	scopes := []string{}
	for _, s := range access.APIKeyScopes() {
		scopes = append(scopes, string(s))
	}
	text, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Stagedoor", "version": version,
			"description": "The API for programs. API keys have scopes: " + strings.Join(scopes,
				", ") + ".",
			"license": object{"name": "MIT", "identifier": "MIT"},
		},
		"security": []any{object{"apiKey": []string{}}, object{"login": []string{}}},
		"paths":    paths,
		"webhooks": d.webhooks(),
		"components": object{
			"schemas": d.schemas,
			"securitySchemes": object{
				"apiKey": object{
					"type": "http", "scheme": "bearer",
					"description": "An operator's API key, sdo_…: made on the console or by " +
						"stagedoor api-keys create.",
				},
				"login": object{
					"type": "apiKey", "in": "cookie", "name": cookieName,
					"description": "The login of an operator, or of a moderator where moderators " +
						"may do this.",
				},
			},
		},
	}, "", "  ")
	if err != nil {
		panic("the OpenAPI document cannot be written: " + err.Error())
	}
	return route{"GET /api/openapi.json", http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(len(text)))
			w.Write(text)
		})}
}

// A document collects the schemas of the types that the operations use.
type document struct{ schemas object }

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

func (d *document) operation(o operation) object {
	parameters := []any{}
	for _, m := range pathParameter.FindAllStringSubmatch(o.path, -1) {
		parameters = append(parameters, object{
			"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"},
		})
	}
	for _, p := range o.query {
		parameters = append(parameters, object{
			"name": p.name, "in": "query", "description": p.about, "schema": schemaOf(p),
		})
	}
	out := object{
		"summary": o.summary, "operationId": operationID(o), "responses": d.responses(o),
	}
	switch o.scope {
	case access.ScopeAPIKeys:
		out["description"] = "Only with the login of an operator: no API key may do this."
		out["security"] = []any{object{"login": []string{}}}
	case access.ScopeSelf: // see v1.records
		out["description"] = "Scope of an API key: " + string(access.ScopeAudit) + "."
	default:
		out["description"] = "Scope of an API key: " + string(o.scope) + "."
	}
	if len(parameters) > 0 {
		out["parameters"] = parameters
	}
	if o.in != nil {
		// A body is optional if all its members are optional.
		out["requestBody"] = object{
			"required": !optionalBody(o.in), "content": d.content("application/json", o.in),
		}
	}
	return out
}

// schemaOf returns the schema of a query parameter.
func schemaOf(p parameter) object {
	switch p.name {
	case "limit":
		return object{"type": "integer", "minimum": 1, "maximum": access.MaxPage}
	case "since", "until":
		return object{"type": "string", "format": "date-time"}
	}
	return object{"type": "string"}
}

// webhooks describes the messages to webhooks, by their type.
func (d *document) webhooks() object {
	hooks := object{}
	for kind, data := range access.MessageData() {
		headers := []any{}
		for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
			headers = append(headers, object{
				"name": name, "in": "header", "required": true, "schema": object{"type": "string"},
			})
		}
		message := object{
			"type": "object", "additionalProperties": false,
			"required": []string{"type", "timestamp", "data"},
			"properties": object{
				"type":      object{"const": kind},
				"timestamp": d.schema(reflect.TypeFor[time.Time]()),
				"data":      d.schema(reflect.TypeOf(data)),
			},
		}
		hooks[kind] = object{"post": object{
			"summary":    "A message of the type " + kind + ", signed as Standard Webhooks says.",
			"parameters": headers, "security": []any{},
			"requestBody": object{
				"required": true, "content": object{"application/json": object{"schema": message}},
			},
			"responses": object{
				"2XX": object{"description": "The receiver has the message."},
				"410": object{"description": "The message is not sent again."},
			},
		}}
	}
	return hooks
}

func operationID(o operation) string {
	words := strings.FieldsFunc(o.path, func(r rune) bool {
		return strings.ContainsRune("/{}-",
			r)
	})
	var id strings.Builder
	id.WriteString(strings.ToLower(o.method))
	for _, w := range words {
		id.WriteString(strings.ToUpper(w[:1]) + w[1:])
	}
	return id.String()
}

func (d *document) responses(o operation) object {
	status := o.status
	if status == 0 {
		status = http.StatusOK
		if o.out == nil {
			status = http.StatusNoContent
		}
	}
	answer := object{"description": http.StatusText(status)}
	if o.out != nil {
		answer["content"] = d.content("application/json", o.out)
	}
	if o.path == "/audit" {
		for _, kind := range []string{csvType, linesType} {
			answer["content"].(object)[kind] = object{"schema": object{"type": "string"}}
		}
		answer["headers"] = object{nextHeader: object{
			"description": "With CSV and JSON lines: \"after\" of the next page. The last page " +
				"has none.",
			"schema": object{"type": "string"},
		}}
	}
	return object{
		strconv.Itoa(status): answer,
		"default": object{
			"description": "A problem (RFC 9457).",
			"content": object{"application/problem+json": object{
				"schema": object{"$ref": "#/components/schemas/Problem"},
			}},
		},
	}
}

func (d *document) content(kind string, body any) object {
	return object{kind: object{"schema": d.schema(reflect.TypeOf(body))}}
}

func optionalBody(body any) bool {
	t := reflect.TypeOf(body)
	for i := range t.NumField() {
		if !strings.Contains(t.Field(i).Tag.Get("json"), ",omitempty") {
			return false
		}
	}
	return true
}

// schema returns the schema of a type as encoding/json writes it. Structs become components.
func (d *document) schema(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return d.schema(t.Elem())
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": d.schema(t.Elem())}
	case t.Kind() == reflect.Struct:
		return d.component(t)
	case t.Kind() == reflect.String:
		return object{"type": "string"}
	case t.Kind() == reflect.Bool:
		return object{"type": "boolean"}
	case t.Kind() == reflect.Float64:
		return object{"type": "number"}
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return object{"type": "integer"}
	}
	panic("the OpenAPI document has no schema for " + t.String())
}

func (d *document) component(t reflect.Type) object {
	ref := object{"$ref": "#/components/schemas/" + t.Name()}
	if _, known := d.schemas[t.Name()]; known {
		return ref
	}
	properties, required := object{}, []string{}
	d.schemas[t.Name()] = object{} // ends the recursion of a type that contains itself
	d.fields(t, properties, &required)
	schema := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	d.schemas[t.Name()] = schema
	return ref
}

// fields adds the members of a struct, and those of the structs that it embeds.
func (d *document) fields(t reflect.Type, properties object, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			d.fields(f.Type, properties, required)
		case name == "-" || name == "":
		default:
			properties[name] = d.schema(f.Type)
			if strings.Contains(options, "omitempty") {
				continue
			}
			*required = append(*required, name)
			if f.Type.Kind() == reflect.Pointer {
				properties[name] = object{
					"anyOf": []object{d.schema(f.Type), {"type": "null"}},
				}
			}
		}
	}
}
