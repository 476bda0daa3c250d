package obs_test

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"testing"

	"github.com/stagedoor/stagedoor/internal/obs"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// table is the content of testdata/cases.json, which the tests of the JavaScript rules read, too.
type table struct {
	Limits map[string]any
	States map[string]map[string]any
	Cases  []struct {
		Name   string
		Like   string
		With   map[string]any
		Limits map[string]any
		Want   map[string]obs.Level
		Change obs.Change
	}
}

func cases(t *testing.T) table {
	t.Helper()
	text, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var found table
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// overlay merges objects, and replaces all other values.
func overlay(under, over map[string]any) map[string]any {
	merged := maps.Clone(under)
	if merged == nil {
		merged = map[string]any{}
	}
	for key, value := range over {
		a, both := merged[key].(map[string]any)
		b, objects := value.(map[string]any)
		if both && objects {
			merged[key] = overlay(a, b)
		} else {
			merged[key] = value
		}
	}
	return merged
}

func as[T any](t *testing.T, m map[string]any) (v T) {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRules(t *testing.T) {
	t.Parallel()
	all := cases(t)
	if len(all.Cases) == 0 {
		t.Fatal("the table is empty")
	}
	for _, c := range all.Cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			reading := as[obs.Reading](t, overlay(all.States[c.Like], c.With))
			limits := as[stage.Limits](t, overlay(all.Limits, c.Limits))
			got, change := map[string]obs.Level{}, obs.Change{}
			for _, f := range obs.Judge(reading, limits) {
				if f.Text == "" {
					t.Errorf("%s has no sentence", f.ID)
				}
				if f.Level != obs.OK {
					got[f.ID] = f.Level
				}
				change = merged(change, f.Change)
			}
			if !maps.Equal(got, c.Want) {
				t.Errorf("findings: got %v, want %v", got, c.Want)
			}
			if !reflect.DeepEqual(change, c.Change) {
				t.Errorf("changes: got %+v, want %+v", change, c.Change)
			}
		})
	}
}

func merged(a, b obs.Change) obs.Change {
	join := func(x, y map[string]string) map[string]string {
		if len(x)+len(y) == 0 {
			return nil
		}
		z := map[string]string{}
		maps.Copy(z, x)
		maps.Copy(z, y)
		return z
	}
	video := a.Video
	if len(b.Video) > 0 {
		video = maps.Clone(b.Video)
		maps.Copy(video, a.Video)
	}
	return obs.Change{Params: join(a.Params, b.Params), Video: video}
}
