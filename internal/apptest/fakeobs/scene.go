package fakeobs

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"
)

// scenes is one scene collection.
type scenes struct {
	list    []*scene // in OBS's order: the oldest has the highest index
	current *scene
	inputs  map[string]*input
	nextID  int
}

type scene struct {
	name  string
	items []item
}

type item struct {
	id      int
	input   *input
	enabled bool
}

type input struct {
	name, uuid, kind string
	settings         map[string]any
	pressed          []string
}

func newScenes() scenes {
	s := &scene{name: "Scene"}
	return scenes{list: []*scene{s}, current: s, inputs: map[string]*input{}}
}

func sceneHandlers() map[string]handler {
	return map[string]handler{
		"GetSceneList":               (*OBS).getSceneList,
		"GetCurrentProgramScene":     (*OBS).getCurrentProgramScene,
		"SetCurrentProgramScene":     (*OBS).setCurrentProgramScene,
		"CreateScene":                (*OBS).createScene,
		"GetSceneItemList":           (*OBS).getSceneItemList,
		"CreateSceneItem":            (*OBS).createSceneItem,
		"GetInputList":               (*OBS).getInputList,
		"GetInputKindList":           (*OBS).getInputKindList,
		"CreateInput":                (*OBS).createInput,
		"RemoveInput":                (*OBS).removeInput,
		"GetInputSettings":           (*OBS).getInputSettings,
		"SetInputSettings":           (*OBS).setInputSettings,
		"PressInputPropertiesButton": (*OBS).pressInputPropertiesButton,
	}
}

// Pressed lists the pressed properties buttons of an input, such as "refreshnocache".
func (o *OBS) Pressed(inputName string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if in := o.scenes.inputs[inputName]; in != nil {
		return slices.Clone(in.pressed)
	}
	return nil
}

// Input returns the kind and the settings of an input, and the scenes that contain it.
func (o *OBS) Input(name string) (kind string, settings map[string]any, in []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := o.scenes.inputs[name]
	if found == nil {
		return "", nil, nil
	}
	for _, s := range o.scenes.list {
		for _, it := range s.items {
			if it.input == found {
				in = append(in, s.name)
			}
		}
	}
	return found.kind, maps.Clone(found.settings), in
}

func (o *OBS) findScene(c *call) (*scene, error) {
	name, err := c.text("sceneName")
	if err != nil {
		return nil, err
	}
	for _, s := range o.scenes.list {
		if s.name == name {
			return s, nil
		}
	}
	return nil, fail(600, "No source was found by the name of `"+name+"`.")
}

func (o *OBS) findInput(c *call) (*input, error) {
	name, err := c.text("inputName")
	if err != nil {
		return nil, err
	}
	if in := o.scenes.inputs[name]; in != nil {
		return in, nil
	}
	return nil, fail(600, "No source was found by the name of `"+name+"`.")
}

func (o *OBS) getSceneList(*call) (any, error) {
	list := []any{}
	for i, s := range o.scenes.list {
		list = append(list, map[string]any{
			"sceneIndex": len(o.scenes.list) - 1 - i, "sceneName": s.name,
		})
	}
	slices.Reverse(list) // lowest index first
	return map[string]any{
		"currentProgramSceneName": o.scenes.current.name, "currentPreviewSceneName": nil,
		"scenes": list,
	}, nil
}

func (o *OBS) getCurrentProgramScene(*call) (any, error) {
	d := map[string]any{"currentProgramSceneName": o.scenes.current.name}
	if o.opts.Version.behaviour().uuids { // sceneName came with the UUIDs
		d["sceneName"] = o.scenes.current.name
	}
	return d, nil
}

func (o *OBS) setCurrentProgramScene(c *call) (any, error) {
	s, err := o.findScene(c)
	if err != nil {
		return nil, err
	}
	o.scenes.current = s
	o.emit(eventScenes, "CurrentProgramSceneChanged", map[string]any{"sceneName": s.name})
	return nil, nil
}

func (o *OBS) createScene(c *call) (any, error) {
	name, err := c.text("sceneName")
	if err != nil {
		return nil, err
	}
	if _, err := o.findScene(c); err == nil || o.scenes.inputs[name] != nil {
		return nil, fail(601, "A source already exists by that scene name.")
	}
	o.scenes.list = append(o.scenes.list, &scene{name: name})
	o.emit(eventScenes, "SceneCreated", map[string]any{"sceneName": name, "isGroup": false})
	return nil, nil
}

func (o *OBS) getSceneItemList(c *call) (any, error) {
	s, err := o.findScene(c)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for i, it := range s.items {
		list = append(list, o.named("sourceUuid", it.input, map[string]any{
			"sceneItemId": it.id, "sceneItemIndex": i, "sourceName": it.input.name,
			"inputKind": it.input.kind, "sourceType": "OBS_SOURCE_TYPE_INPUT", "isGroup": nil,
			"sceneItemEnabled": it.enabled, "sceneItemLocked": false,
		}))
	}
	return map[string]any{"sceneItems": list}, nil
}

// add puts an input on top of a scene.
func (o *OBS) add(s *scene, in *input, enabled bool) int {
	o.scenes.nextID++
	s.items = append(s.items, item{o.scenes.nextID, in, enabled})
	o.emit(eventSceneItems, "SceneItemCreated", map[string]any{
		"sceneName": s.name, "sourceName": in.name, "sceneItemId": o.scenes.nextID,
		"sceneItemIndex": len(s.items) - 1,
	})
	return o.scenes.nextID
}

// named adds the UUID that sources have since OBS 30.1.
func (o *OBS) named(key string, in *input, d map[string]any) map[string]any {
	if o.opts.Version.behaviour().uuids {
		d[key] = in.uuid
	}
	return d
}

func enabled(c *call) bool {
	on, there := c.data["sceneItemEnabled"].(bool)
	return on || !there
}

func (o *OBS) createSceneItem(c *call) (any, error) {
	s, err := o.findScene(c)
	if err != nil {
		return nil, err
	}
	name, err := c.text("sourceName")
	if err != nil {
		return nil, err
	}
	in := o.scenes.inputs[name]
	if in == nil {
		return nil, fail(600, "No source was found by the name of `"+name+"`.")
	}
	return map[string]any{"sceneItemId": o.add(s, in, enabled(c))}, nil
}

func (o *OBS) getInputList(c *call) (any, error) {
	list := []any{}
	for _, name := range slices.Sorted(maps.Keys(o.scenes.inputs)) {
		in := o.scenes.inputs[name]
		if kind, given := c.data["inputKind"].(string); given && kind != in.kind {
			continue
		}
		list = append(list, o.named("inputUuid", in, map[string]any{
			"inputName": in.name, "inputKind": in.kind,
			"unversionedInputKind": unversioned(in.kind),
		}))
	}
	return map[string]any{"inputs": list}, nil
}

func (o *OBS) kinds() []string {
	kinds := []string{"color_source_v3", "ffmpeg_source", "image_source"}
	if !o.opts.NoBrowser {
		kinds = append(kinds, "browser_source")
	}
	return kinds
}

func unversioned(kind string) string {
	if i := strings.LastIndex(kind, "_v"); i > 0 && strings.Trim(kind[i+2:], "0123456789") == "" {
		return kind[:i]
	}
	return kind
}

func (o *OBS) getInputKindList(*call) (any, error) {
	return map[string]any{"inputKinds": o.kinds()}, nil
}

func (o *OBS) createInput(c *call) (any, error) {
	s, err := o.findScene(c)
	if err != nil {
		return nil, err
	}
	names, err := c.texts("inputName", "inputKind")
	if err != nil {
		return nil, err
	}
	if o.scenes.inputs[names[0]] != nil {
		return nil, fail(601, "A source already exists by that input name.")
	}
	if !slices.Contains(o.kinds(), names[1]) {
		return nil, fail(
			605, "Your specified input kind is not supported by OBS. Check that your specified "+
				"kind is properly versioned and that any necessary plugins are loaded.")
	}
	settings, _ := c.data["inputSettings"].(map[string]any)
	in := &input{name: names[0], uuid: rand.Text(), kind: names[1], settings: maps.Clone(settings)}
	if in.settings == nil {
		in.settings = map[string]any{}
	}
	o.scenes.inputs[in.name] = in
	o.emit(eventInputs, "InputCreated", o.named("inputUuid", in, map[string]any{
		"inputName": in.name, "inputKind": in.kind, "unversionedInputKind": unversioned(in.kind),
		"inputSettings": in.settings,
	}))
	return o.named("inputUuid", in, map[string]any{"sceneItemId": o.add(s, in, enabled(c))}), nil
}

func (o *OBS) removeInput(c *call) (any, error) {
	in, err := o.findInput(c)
	if err != nil {
		return nil, err
	}
	delete(o.scenes.inputs, in.name)
	for _, s := range o.scenes.list {
		s.items = slices.DeleteFunc(s.items, func(it item) bool { return it.input == in })
	}
	o.emit(eventInputs, "InputRemoved", o.named("inputUuid", in, map[string]any{
		"inputName": in.name,
	}))
	return nil, nil
}

func (o *OBS) getInputSettings(c *call) (any, error) {
	in, err := o.findInput(c)
	if err != nil {
		return nil, err
	}
	return map[string]any{"inputSettings": maps.Clone(in.settings), "inputKind": in.kind}, nil
}

// setInputSettings merges the given settings into the current ones, or replaces them if overlay is
// false.
func (o *OBS) setInputSettings(c *call) (any, error) {
	in, err := o.findInput(c)
	if err != nil {
		return nil, err
	}
	v, err := c.field("inputSettings")
	if err != nil {
		return nil, err
	}
	settings, ok := v.(map[string]any)
	if !ok {
		return nil, fail(401, "The field value of `inputSettings` must be an object.")
	}
	next := map[string]any{}
	if overlay, given := c.data["overlay"].(bool); overlay || !given {
		maps.Copy(next, in.settings)
	}
	maps.Copy(next, settings)
	in.settings = next
	if !o.opts.Version.behaviour().uuids { // this event appeared in the same version as the UUIDs
		return nil, nil
	}
	o.emit(eventInputs, "InputSettingsChanged", o.named("inputUuid", in, map[string]any{
		"inputName": in.name, "inputSettings": next,
	}))
	return nil, nil
}

func (o *OBS) pressInputPropertiesButton(c *call) (any, error) {
	in, err := o.findInput(c)
	if err != nil {
		return nil, err
	}
	button, err := c.text("propertyName")
	if err != nil {
		return nil, err
	}
	if in.kind != "browser_source" || button != "refreshnocache" {
		return nil, fail(600, "Unable to find a property by that name.")
	}
	in.pressed = append(in.pressed, button)
	o.touch()
	return nil, nil
}
