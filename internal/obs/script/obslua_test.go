package script_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// A fakeOBS simulates OBS for a script. It implements the module obslua on real files. Ini files
// are in memory until they are saved, as in OBS. The numbers of the events are arbitrary.
type fakeOBS struct {
	t       testing.TB
	state   *lua.LState
	dir     string // OBS's folder
	version int
	modules []string
	kinds   []string // IDs of the service types
	encode  []string // IDs of the encoders
	user    *ini     // user.ini, or global.ini before OBS 31
	app     *ini     // global.ini; nil before OBS 31
	profile *ini
	service *data // the service of the current profile; nil if it was never loaded
	active  bool  // a stream is running
	env     map[string]string
	now     float64

	log       []string
	callbacks []*lua.LFunction
	timers    []*lua.LFunction
	buttons   map[string]*lua.LFunction
	status    string // the text in the script's pane
	settings  *lua.LUserData
}

// events are the OBS events that the script handles.
var events = []string{"PROFILE_CHANGING", "PROFILE_CHANGED", "SCENE_COLLECTION_CHANGING", "EXIT",
	"SCRIPTING_SHUTDOWN"}

// start runs the script as OBS does when it starts.
func (o *fakeOBS) start(script string) {
	o.t.Helper()
	o.log, o.callbacks, o.timers = nil, nil, nil
	o.state = lua.NewState()
	o.t.Cleanup(o.state.Close)
	o.state.PreloadModule("bit", bitModule)
	o.state.SetGlobal("obslua", o.module())
	getenv := func(l *lua.LState) int {
		if value, there := o.env[l.CheckString(1)]; there {
			l.Push(lua.LString(value))
			return 1
		}
		return 0
	}
	o.state.SetField(o.state.GetGlobal("os"), "getenv", o.state.NewFunction(getenv))
	if o.settings == nil {
		o.settings = o.wrap(&data{values: map[string]any{}})
	}
	o.state.Push(o.state.NewFunctionFromProto(compile(o.t, script)))
	if err := o.state.PCall(0, lua.MultRet, nil); err != nil {
		o.t.Fatal(err)
	}
	o.call(o.state.GetGlobal("script_load"), o.settings)
}

// compiled has the compiled scripts by text. Compiling a script takes longer than running it.
var compiled sync.Map

func compile(t testing.TB, script string) *lua.FunctionProto {
	t.Helper()
	if proto, ok := compiled.Load(script); ok {
		return proto.(*lua.FunctionProto)
	}
	chunk, err := parse.Parse(strings.NewReader(script), "<string>")
	if err != nil {
		t.Fatal(err)
	}
	proto, err := lua.Compile(chunk, "<string>")
	if err != nil {
		t.Fatal(err)
	}
	compiled.Store(script, proto)
	return proto
}

func (o *fakeOBS) call(f lua.LValue, args ...lua.LValue) lua.LValue {
	o.t.Helper()
	if err := o.state.CallByParam(lua.P{Fn: f, NRet: 1, Protect: true}, args...); err != nil {
		o.t.Fatal(err)
	}
	defer o.state.Pop(1)
	return o.state.Get(-1)
}

func (o *fakeOBS) event(name string) {
	o.t.Helper()
	for _, f := range o.callbacks {
		o.call(f, lua.LNumber(slices.Index(events, name)))
	}
}

// quit does what OBS does when it ends. It first writes the list of docks as OBS has loaded it, and
// then ends the scripts.
func (o *fakeOBS) quit(docks string) {
	o.t.Helper()
	o.event("EXIT")
	o.user.set("BasicWindow", "ExtraBrowserDocks", docks)
	o.event("SCRIPTING_SHUTDOWN")
	o.user.save()
}

func (o *fakeOBS) tick() {
	o.t.Helper()
	for _, f := range o.timers {
		o.call(f)
	}
}

func (o *fakeOBS) press(button string) {
	o.t.Helper()
	properties := o.call(o.state.GetGlobal("script_properties"))
	o.call(o.buttons[button], properties, lua.LNil)
}

func (o *fakeOBS) wrap(v any) *lua.LUserData { return &lua.LUserData{Value: v} }

func unwrap[T any](l *lua.LState, n int) (v T) {
	if u, ok := l.Get(n).(*lua.LUserData); ok {
		v, _ = u.Value.(T)
	}
	return v
}

// module returns the module obslua.
func (o *fakeOBS) module() *lua.LTable {
	m := o.state.NewTable()
	for _, functions := range []map[string]func(*lua.LState) lua.LValue{o.core(), o.profiles(),
		o.files(), o.configs(), o.datas(), o.pane()} {
		for name, f := range functions {
			if o.version < 30<<24 && strings.HasPrefix(name, "config_") {
				continue // obslua has these since OBS 30
			}
			m.RawSetString(name, o.state.NewFunction(func(l *lua.LState) int {
				l.Push(f(l))
				return 1
			}))
		}
	}
	for i, name := range events {
		m.RawSetString("OBS_FRONTEND_EVENT_"+name, lua.LNumber(i))
	}
	m.RawSetString("LOG_INFO", lua.LNumber(300))
	m.RawSetString("OBS_TEXT_INFO", lua.LNumber(3))
	return m
}

func (o *fakeOBS) core() map[string]func(*lua.LState) lua.LValue {
	none := func(*lua.LState) lua.LValue { return lua.LNil }
	known := func(list []string, l *lua.LState) lua.LValue {
		if name := l.CheckString(1); slices.Contains(list, name) {
			return o.wrap(name)
		}
		return lua.LNil
	}
	return map[string]func(*lua.LState) lua.LValue{
		"obs_get_version": func(*lua.LState) lua.LValue { return lua.LNumber(o.version) },
		"obs_get_version_string": func(*lua.LState) lua.LValue {
			return lua.LString(fmt.Sprintf("%d.%d.0", o.version>>24, o.version>>16&0xff))
		},
		"obs_get_module":      func(l *lua.LState) lua.LValue { return known(o.modules, l) },
		"obs_service_create":  func(l *lua.LState) lua.LValue { return known(o.kinds, l) },
		"obs_service_release": none,
		"obs_module_get_config_path": func(l *lua.LState) lua.LValue {
			return lua.LString(o.dir + "/plugin_config/" + unwrap[string](l, 1) + "/" +
				l.CheckString(2))
		},
		"obs_encoder_get_display_name": func(l *lua.LState) lua.LValue {
			return known(o.encode, l)
		},
		"obs_frontend_streaming_active": func(*lua.LState) lua.LValue {
			return lua.LBool(o.active)
		},
		"obs_frontend_recording_active":     func(*lua.LState) lua.LValue { return lua.LFalse },
		"obs_frontend_replay_buffer_active": func(*lua.LState) lua.LValue { return lua.LFalse },
		"obs_frontend_virtualcam_active":    func(*lua.LState) lua.LValue { return lua.LFalse },
		"obs_frontend_add_event_callback": func(l *lua.LState) lua.LValue {
			o.callbacks = append(o.callbacks, l.CheckFunction(1))
			return lua.LNil
		},
		"timer_add": func(l *lua.LState) lua.LValue {
			o.timers = append(o.timers, l.CheckFunction(1))
			return lua.LNil
		},
		"script_log": func(l *lua.LState) lua.LValue {
			o.log = append(o.log, l.CheckString(2))
			return lua.LNil
		},
		"os_gettime_ns": func(*lua.LState) lua.LValue { return lua.LNumber(o.now) },
		"os_generate_uuid": func(*lua.LState) lua.LValue {
			text, err := os.ReadFile("/proc/sys/kernel/random/uuid")
			if err != nil {
				o.t.Error(err)
			}
			return lua.LString(strings.TrimSpace(string(text)))
		},
	}
}

// profiles returns the functions for profiles, and for the service of the current profile.
func (o *fakeOBS) profiles() map[string]func(*lua.LState) lua.LValue {
	return map[string]func(*lua.LState) lua.LValue{
		"obs_frontend_get_current_profile": func(*lua.LState) lua.LValue {
			name, _ := o.user.get("Basic", "Profile")
			return lua.LString(name)
		},
		"obs_frontend_get_profiles": func(l *lua.LState) lua.LValue {
			names := l.NewTable()
			entries, _ := os.ReadDir(o.dir + "/basic/profiles")
			for _, e := range entries {
				names.Append(lua.LString(e.Name()))
			}
			return names
		},
		"obs_frontend_set_current_profile": func(l *lua.LState) lua.LValue {
			o.selectProfile(l.CheckString(1))
			return lua.LNil
		},
		"obs_frontend_get_streaming_service": func(*lua.LState) lua.LValue {
			if o.service == nil {
				return lua.LNil
			}
			return o.wrap(o.service)
		},
		"obs_frontend_save_streaming_service": func(l *lua.LState) lua.LValue {
			o.saveService()
			return lua.LNil
		},
		"obs_service_get_settings": func(l *lua.LState) lua.LValue { return l.Get(1) },
		"obs_service_update": func(l *lua.LState) lua.LValue {
			maps.Copy(unwrap[*data](l, 1).values, unwrap[*data](l, 2).values)
			return lua.LNil
		},
	}
}

// saveService writes the service as OBS does, which renames the previous file to "….bak".
func (o *fakeOBS) saveService() {
	text, err := json.Marshal(map[string]any{"type": "whip_custom", "settings": o.service.values})
	if err != nil {
		o.t.Error(err)
	}
	path := filepath.Dir(o.profile.path) + "/service.json"
	_ = os.Rename(path, path+".bak") // the first time there is no file
	if err := os.WriteFile(path, text, 0o600); err != nil {
		o.t.Error(err)
	}
}

func (o *fakeOBS) files() map[string]func(*lua.LState) lua.LValue {
	return map[string]func(*lua.LState) lua.LValue{
		"os_file_exists": func(l *lua.LState) lua.LValue {
			_, err := os.Stat(l.CheckString(1))
			return lua.LBool(err == nil)
		},
		"os_quick_read_utf8_file": func(l *lua.LState) lua.LValue {
			text, err := os.ReadFile(l.CheckString(1))
			if err != nil {
				return lua.LNil
			}
			return lua.LString(text)
		},
		"os_quick_write_utf8_file_safe": func(l *lua.LState) lua.LValue {
			text := l.CheckString(2)
			if len(text) != l.CheckInt(3) || l.ToBool(4) {
				o.t.Error("a file is written in part, or with a mark in front")
			}
			return lua.LBool(os.WriteFile(l.CheckString(1), []byte(text), 0o600) == nil)
		},
		"os_mkdirs": func(l *lua.LState) lua.LValue {
			if err := os.MkdirAll(l.CheckString(1), 0o700); err != nil {
				o.t.Error(err)
			}
			return lua.LNumber(0)
		},
		"os_unlink": func(l *lua.LState) lua.LValue {
			_ = os.Remove(l.CheckString(1))
			return lua.LNumber(0)
		},
		"os_rmdir": func(l *lua.LState) lua.LValue {
			_ = os.Remove(l.CheckString(1))
			return lua.LNumber(0)
		},
		"os_opendir": func(l *lua.LState) lua.LValue {
			entries, err := os.ReadDir(l.CheckString(1))
			if err != nil {
				return lua.LNil
			}
			return o.wrap(&entries)
		},
		"os_readdir": func(l *lua.LState) lua.LValue {
			entries := unwrap[*[]os.DirEntry](l, 1)
			if len(*entries) == 0 {
				return lua.LNil
			}
			entry := l.NewTable()
			entry.RawSetString("d_name", lua.LString((*entries)[0].Name()))
			*entries = (*entries)[1:]
			return entry
		},
		"os_closedir": func(*lua.LState) lua.LValue { return lua.LNil },
	}
}

func (o *fakeOBS) configs() map[string]func(*lua.LState) lua.LValue {
	all := map[string]func(*lua.LState) lua.LValue{
		"obs_frontend_get_profile_config": func(*lua.LState) lua.LValue {
			return o.wrap(o.profile)
		},
		"config_get_string": func(l *lua.LState) lua.LValue {
			if value, ok := unwrap[*ini](l, 1).get(l.CheckString(2), l.CheckString(3)); ok {
				return lua.LString(value)
			}
			return lua.LNil
		},
		"config_has_user_value": func(l *lua.LState) lua.LValue {
			_, ok := unwrap[*ini](l, 1).get(l.CheckString(2), l.CheckString(3))
			return lua.LBool(ok)
		},
		"config_set_string": func(l *lua.LState) lua.LValue {
			unwrap[*ini](l, 1).set(l.CheckString(2), l.CheckString(3), l.CheckString(4))
			return lua.LNil
		},
		"config_remove_value": func(l *lua.LState) lua.LValue {
			unwrap[*ini](l, 1).remove(l.CheckString(2), l.CheckString(3))
			return lua.LTrue
		},
		"config_save_safe": func(l *lua.LState) lua.LValue {
			unwrap[*ini](l, 1).save()
			return lua.LNumber(0)
		},
	}
	user := func(*lua.LState) lua.LValue { return o.wrap(o.user) }
	if o.app != nil { // OBS 31 has both files, and the list of docks only in user.ini
		all["obs_frontend_get_user_config"] = user
		all["obs_frontend_get_app_config"] = func(*lua.LState) lua.LValue { return o.wrap(o.app) }
		all["obs_frontend_get_global_config"] = all["obs_frontend_get_app_config"]
	} else {
		all["obs_frontend_get_global_config"] = user
	}
	return all
}

// A data is an obs_data_t, OBS's type for settings.
type data struct{ values map[string]any }

func (o *fakeOBS) datas() map[string]func(*lua.LState) lua.LValue {
	get := func(l *lua.LState) any {
		if d := unwrap[*data](l, 1); d != nil {
			return d.values[l.CheckString(2)]
		}
		return nil
	}
	set := func(value func(*lua.LState) any) func(*lua.LState) lua.LValue {
		return func(l *lua.LState) lua.LValue {
			if l.GetTop() != 3 {
				o.t.Errorf("arguments of a setter: got %d, want 3", l.GetTop())
			}
			unwrap[*data](l, 1).values[l.CheckString(2)] = value(l)
			return lua.LNil
		}
	}
	return map[string]func(*lua.LState) lua.LValue{
		"obs_data_create": func(*lua.LState) lua.LValue { return o.wrap(&data{map[string]any{}}) },
		"obs_data_create_from_json": func(l *lua.LState) lua.LValue {
			d := &data{}
			if json.Unmarshal([]byte(l.CheckString(1)), &d.values) != nil {
				return lua.LNil
			}
			return o.wrap(d)
		},
		"obs_data_get_json": func(l *lua.LState) lua.LValue {
			text, err := json.Marshal(unwrap[*data](l, 1).values)
			if err != nil {
				o.t.Error(err)
			}
			return lua.LString(text)
		},
		"obs_data_release": func(*lua.LState) lua.LValue { return lua.LNil },
		"obs_data_has_user_value": func(l *lua.LState) lua.LValue {
			return lua.LBool(get(l) != nil)
		},
		"obs_data_get_string": func(l *lua.LState) lua.LValue {
			text, _ := get(l).(string)
			return lua.LString(text)
		},
		"obs_data_get_obj": func(l *lua.LState) lua.LValue {
			if values, ok := get(l).(map[string]any); ok {
				return o.wrap(&data{values})
			}
			return lua.LNil
		},
		"obs_data_get_bool": func(l *lua.LState) lua.LValue {
			b, _ := get(l).(bool)
			return lua.LBool(b)
		},
		"obs_data_get_int": func(l *lua.LState) lua.LValue {
			switch n := get(l).(type) {
			case float64:
				return lua.LNumber(n)
			case int64:
				return lua.LNumber(n)
			}
			return lua.LNumber(0)
		},
		"obs_data_set_string": set(func(l *lua.LState) any { return l.CheckString(3) }),
		"obs_data_set_bool":   set(func(l *lua.LState) any { return l.CheckBool(3) }),
		"obs_data_set_int":    set(func(l *lua.LState) any { return l.CheckInt64(3) }),
		"obs_data_set_double": set(func(l *lua.LState) any { return float64(l.CheckNumber(3)) }),
	}
}

// pane returns the functions of obslua that build the script's pane under Tools → Scripts.
func (o *fakeOBS) pane() map[string]func(*lua.LState) lua.LValue {
	o.buttons = map[string]*lua.LFunction{}
	return map[string]func(*lua.LState) lua.LValue{
		"obs_properties_create": func(*lua.LState) lua.LValue { return o.wrap("properties") },
		"obs_properties_add_text": func(l *lua.LState) lua.LValue {
			o.status = l.CheckString(3)
			return lua.LNil
		},
		"obs_properties_add_button": func(l *lua.LState) lua.LValue {
			o.buttons[l.CheckString(2)] = l.CheckFunction(4)
			return lua.LNil
		},
		"obs_properties_get": func(l *lua.LState) lua.LValue { return o.wrap(l.CheckString(2)) },
		"obs_property_set_description": func(l *lua.LState) lua.LValue {
			o.status = l.CheckString(2)
			return lua.LNil
		},
	}
}

// bitModule returns the functions of LuaJIT's module bit that the script uses.
func bitModule(l *lua.LState) int {
	m := l.NewTable()
	add := func(name string, f func(a, b uint32) uint32) {
		m.RawSetString(name, l.NewFunction(func(l *lua.LState) int {
			word := func(n int) uint32 { return uint32(int64(l.CheckNumber(n))) }
			value := word(1)
			if l.GetTop() == 1 {
				value = f(value, 0)
			}
			for n := 2; n <= l.GetTop(); n++ {
				value = f(value, word(n))
			}
			l.Push(lua.LNumber(int32(value))) // LuaJIT returns signed numbers
			return 1
		}))
	}
	add("tobit", func(a, _ uint32) uint32 { return a })
	add("bnot", func(a, _ uint32) uint32 { return ^a })
	add("band", func(a, b uint32) uint32 { return a & b })
	add("bxor", func(a, b uint32) uint32 { return a ^ b })
	add("ror", func(a, b uint32) uint32 { return bits.RotateLeft32(a, -int(b)) })
	add("rshift", func(a, b uint32) uint32 { return a >> b })
	l.Push(m)
	return 1
}

// An ini is an ini file as libobs (config-file.c) handles it: in memory until it is saved, with
// sections and items in their order.
type ini struct {
	path     string
	sections []section
}

type section struct {
	name  string
	items [][2]string
}

const mark = "\xEF\xBB\xBF" // OBS begins its ini files with a byte order mark

func readIni(t testing.TB, path string) *ini {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &ini{path: path}
	for line := range strings.Lines(strings.TrimPrefix(string(text), mark)) {
		line = strings.TrimRight(line, "\r\n")
		if name, ok := strings.CutPrefix(line, "["); ok {
			f.sections = append(f.sections, section{name: strings.TrimSuffix(name, "]")})
		} else if key, value, ok := strings.Cut(line, "="); ok {
			last := &f.sections[len(f.sections)-1]
			last.items = append(last.items, [2]string{key, strings.ReplaceAll(value, `\\`, `\`)})
		}
	}
	return f
}

func (f *ini) find(name, key string) (*section, int) {
	for i := range f.sections {
		if s := &f.sections[i]; s.name == name {
			return s, slices.IndexFunc(s.items, func(item [2]string) bool { return item[0] == key })
		}
	}
	return nil, -1
}

func (f *ini) get(name, key string) (string, bool) {
	s, i := f.find(name, key)
	if i < 0 {
		return "", false
	}
	return s.items[i][1], true
}

func (f *ini) set(name, key, value string) {
	s, i := f.find(name, key)
	switch {
	case s == nil:
		f.sections = append(f.sections, section{name, [][2]string{{key, value}}})
	case i < 0:
		s.items = append(s.items, [2]string{key, value})
	default:
		s.items[i][1] = value
	}
}

func (f *ini) remove(name, key string) {
	if s, i := f.find(name, key); i >= 0 {
		s.items = slices.Delete(s.items, i, i+1)
	}
}

func (f *ini) save() {
	var b strings.Builder
	b.WriteString(mark)
	for i, s := range f.sections {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "[%s]\n", s.name)
		for _, item := range s.items {
			fmt.Fprintf(&b, "%s=%s\n", item[0], strings.ReplaceAll(item[1], `\`, `\\`))
		}
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err == nil {
		_ = os.WriteFile(f.path, []byte(b.String()), 0o600)
	}
}
