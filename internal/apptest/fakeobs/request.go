package fakeobs

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// A failure is a requestStatus other than 100.
type failure struct {
	code    int
	comment string
}

func (f *failure) Error() string { return fmt.Sprintf("%d %s", f.code, f.comment) }

func fail(code int, comment string) error { return &failure{code, comment} }

// A call is a request that a handler processes, with the lock held.
type call struct {
	data  map[string]any
	after []func() // work of OBS after the response; with the lock held
}

// later queues work that OBS does on its UI thread after the response.
func (c *call) later(f func()) { c.after = append(c.after, f) }

func (c *call) field(key string) (any, error) {
	if c.data == nil {
		return nil, fail(301, "Your request data is missing or invalid (non-object)")
	}
	v, there := c.data[key]
	if !there || v == nil {
		return nil, fail(300, "Your request is missing the `"+key+"` field.")
	}
	return v, nil
}

func (c *call) text(key string) (string, error) {
	v, err := c.field(key)
	if err != nil {
		return "", err
	}
	s, ok := v.(string)
	if !ok {
		return "", fail(401, "The field value of `"+key+"` must be a string.")
	}
	if s == "" {
		return "", fail(403, "The field value of `"+key+"` must not be empty.")
	}
	return s, nil
}

// texts reads several texts, in the order in which OBS checks them.
func (c *call) texts(keys ...string) ([]string, error) {
	found := make([]string, len(keys))
	for i, key := range keys {
		var err error
		if found[i], err = c.text(key); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (c *call) object(key string) (map[string]any, error) {
	v, err := c.field(key)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fail(401, "The field value of `"+key+"` must be an object.")
	}
	if len(m) == 0 {
		return nil, fail(403, "The field value of `"+key+"` must not be empty.")
	}
	return m, nil
}

func (c *call) number(key string, low, high float64) (float64, error) {
	v, err := c.field(key)
	if err != nil {
		return 0, err
	}
	f, ok := v.(float64)
	if !ok {
		return 0, fail(401, "The field value of `"+key+"` must be a number.")
	}
	switch {
	case f < low:
		return 0, fail(402, fmt.Sprintf("The field value of `%s` is below the minimum of `%f`",
			key, low))
	case f > high:
		return 0, fail(402, fmt.Sprintf("The field value of `%s` is above the maximum of `%f`",
			key, high))
	}
	return f, nil
}

type handler func(*OBS, *call) (any, error)

// handlers returns all handlers. GetVersion lists their names as availableRequests.
func handlers() map[string]handler {
	all := map[string]handler{
		"GetVersion":           (*OBS).getVersion,
		"GetStats":             (*OBS).getStats,
		"BroadcastCustomEvent": (*OBS).broadcastCustomEvent,
		"CallVendorRequest":    (*OBS).callVendorRequest,
		"GetPersistentData":    (*OBS).getPersistentData,
		"SetPersistentData":    (*OBS).setPersistentData,
	}
	for _, more := range []map[string]handler{profileHandlers(), streamHandlers(),
		sceneHandlers()} {
		maps.Copy(all, more)
	}
	return all
}

func (s *session) request(d map[string]any) *closing {
	kind, ok := d["requestType"].(string)
	if !ok {
		return &closing{4003, "Your payload's data is missing an `requestType`."}
	}
	if _, ok := d["requestId"].(string); !ok {
		return &closing{4003, "Your payload data is missing a `requestId`."}
	}
	s.obs.wg.Go(func() {
		status, data, after := s.obs.do(kind, d["requestData"])
		answer := map[string]any{
			"requestType": kind, "requestId": d["requestId"], "requestStatus": status,
		}
		if data != nil {
			answer["responseData"] = data
		}
		s.obs.mu.Lock()
		defer s.obs.mu.Unlock()
		s.send(opRequestResponse, answer)
		finish(after)
	})
	return nil
}

func finish(after []func()) {
	for _, f := range after {
		f()
	}
}

// do runs a request and records it. The caller must run the deferred work (after) once the response
// was sent, with the lock held.
func (o *OBS) do(kind string, data any) (status, response any, after []func()) {
	o.mu.Lock()
	gate, life := o.holds[kind], o.life
	o.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-life.Done():
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	c := &call{}
	c.data, _ = data.(map[string]any)
	response, err := o.handle(kind, c)
	code, comment := 100, ""
	if f, ok := err.(*failure); ok {
		code, comment, response = f.code, f.comment, nil
	}
	o.requests = append(o.requests, Request{kind, c.data, code})
	o.touch()
	result := map[string]any{"result": code == 100, "code": code}
	if comment != "" {
		result["comment"] = comment
	}
	return result, response, c.after
}

func (o *OBS) handle(kind string, c *call) (any, error) {
	if !o.ready && o.opts.Version.behaviour().notReady {
		return nil, fail(207, "OBS is not ready to perform the request.")
	}
	h, known := handlers()[kind]
	switch pretended := o.pretends[kind]; {
	case pretended == 100:
		return nil, nil
	case pretended != 0:
		return nil, fail(pretended, "")
	case kind == "":
		return nil, fail(203, "Your request's `requestType` may not be empty.")
	case kind == "Sleep": // OBS accepts Sleep only in batches
		return nil, fail(206, "")
	case !known:
		return nil, fail(204, "Your request type is not valid.")
	case o.disturbed(kind):
		o.collapse(c, fmt.Sprintf("%s came %d ms after a switch of profiles", kind,
			time.Since(o.switched).Milliseconds()))
		return nil, nil
	}
	return h(o, c)
}

// batch is RequestBatch without the undocumented variables.
func (s *session) batch(d map[string]any) *closing {
	if _, ok := d["requestId"].(string); !ok {
		return &closing{4003, "Your payload data is missing a `requestId`."}
	}
	requests, ok := d["requests"].([]any)
	if !ok {
		return &closing{4003, "Your payload data is missing a `requests`."}
	}
	mode, end := unsigned(d, "executionType")
	if end != nil {
		return end
	}
	if mode != nil && *mode > 2 {
		return &closing{4005, "Your `executionType` has an invalid value."}
	}
	halt, _ := d["haltOnFailure"].(bool)
	if _, there := d["variables"]; there {
		return &closing{4012, "This batch asks for a feature that is not supported here."}
	}
	s.obs.wg.Go(func() {
		results, after := s.obs.batch(requests, halt)
		s.obs.mu.Lock()
		defer s.obs.mu.Unlock()
		s.send(opRequestBatchResponse, map[string]any{
			"requestId": d["requestId"], "results": results,
		})
		finish(after)
	})
	return nil
}

func (o *OBS) batch(requests []any, halt bool) (results []any, after []func()) {
	results = []any{}
	for _, raw := range requests {
		r, _ := raw.(map[string]any)
		kind, _ := r["requestType"].(string)
		result := map[string]any{"requestType": kind}
		if id, there := r["requestId"]; there {
			result["requestId"] = id
		}
		status, data, later := o.batched(kind, r["requestData"])
		result["requestStatus"] = status
		if data != nil {
			result["responseData"] = data
		}
		results, after = append(results, result), append(after, later...)
		if halt && status.(map[string]any)["result"] == false {
			break
		}
	}
	return results, after
}

func (o *OBS) batched(kind string, data any) (status, response any, after []func()) {
	if kind != "Sleep" {
		return o.do(kind, data)
	}
	m, _ := data.(map[string]any)
	millis, _ := m["sleepMillis"].(float64)
	time.Sleep(time.Duration(millis) * o.opts.Second / 1000)
	return map[string]any{"result": true, "code": 100}, nil, nil
}

func (o *OBS) getVersion(*call) (any, error) {
	b := o.opts.Version.behaviour()
	return map[string]any{
		"obsVersion": b.obs, "obsWebSocketVersion": b.websocket, "rpcVersion": 1,
		"availableRequests":     slices.Sorted(maps.Keys(handlers())),
		"supportedImageFormats": []string{"bmp", "jpeg", "jpg", "png"},
		"platform":              o.opts.Platform, "platformDescription": "fakeobs on " +
			o.opts.Platform,
	}, nil
}

func (o *OBS) getStats(*call) (any, error) {
	frames := o.frames()
	lost := int(float64(frames) * o.opts.Lag)
	return map[string]any{
		"cpuUsage": 2.5, "memoryUsage": 300.0, "availableDiskSpace": 50_000.0,
		"activeFps": 30.0, "averageFrameRenderTime": 1.2,
		"renderSkippedFrames": lost, "renderTotalFrames": frames,
		"outputSkippedFrames": lost, "outputTotalFrames": frames,
		"webSocketSessionIncomingMessages": len(o.requests),
		"webSocketSessionOutgoingMessages": len(o.requests),
	}, nil
}

func (o *OBS) broadcastCustomEvent(c *call) (any, error) {
	data, err := c.object("eventData")
	if err != nil {
		return nil, err
	}
	o.emit(eventGeneral, "CustomEvent", data)
	return nil, nil
}

// callVendorRequest accepts the requests with which obs-browser sends an event to browser sources.
// Docks do not receive such events, so the fake sends none.
func (o *OBS) callVendorRequest(c *call) (any, error) {
	names, err := c.texts("vendorName", "requestType")
	if err != nil {
		return nil, err
	}
	if o.opts.NoBrowser || names[0] != "obs-browser" || names[1] != "emit_event" {
		return nil, fail(600, "No vendor was found by that name.")
	}
	return map[string]any{"vendorName": names[0], "requestType": names[1],
		"responseData": map[string]any{}}, nil
}

func (o *OBS) slots(c *call) (map[string]any, string, error) {
	names, err := c.texts("realm", "slotName")
	if err != nil {
		return nil, "", err
	}
	switch names[0] {
	case "OBS_WEBSOCKET_DATA_REALM_GLOBAL":
		return o.persistent, names[1], nil
	case "OBS_WEBSOCKET_DATA_REALM_PROFILE":
		return o.current.persistent, names[1], nil
	}
	return nil, "", fail(600, "You have specified an invalid persistent data realm.")
}

func (o *OBS) getPersistentData(c *call) (any, error) {
	slots, name, err := o.slots(c)
	if err != nil {
		return nil, err
	}
	return map[string]any{"slotValue": slots[name]}, nil
}

func (o *OBS) setPersistentData(c *call) (any, error) {
	slots, name, err := o.slots(c)
	if err != nil {
		return nil, err
	}
	value, there := c.data["slotValue"]
	if !there {
		return nil, fail(300, "Your request is missing the `slotValue` field.")
	}
	slots[name] = value
	return nil, nil
}
