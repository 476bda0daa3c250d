package stage

import (
	"strings"
	"testing"
)

func TestViews(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]View{
		"grid": "grid", "spotlight": "spotlight", "stage": "stage", /* a user id like any other */
		"k3jZ_-": "k3jZ_-", "Bea Müller <bea@example.com>": "Bea Müller <bea@example.com>",
		`"/\#?%`: `"/\#?%`, "user:bea": "bea", "user:grid": "user:grid", "user:user:x": "user:user:x",
		"user:participant:x": "user:participant:x", "participant:Mx6c_-": "participant:Mx6c_-",
		strings.Repeat("é", MaxUserID): View(strings.Repeat("é", MaxUserID)),
	} {
		got, err := ParseView(text)
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
		if again, err := ParseView(string(got)); err != nil || again != got {
			t.Errorf("%q read again: got %q, %v, want no change", got, again, err)
		}
	}
	for _, text := range []string{
		"", "user:", "participant:", "participant:a b", "participant:" + strings.Repeat("a", 65),
		"a\x00b", "\xff", strings.Repeat("é", MaxUserID+1),
	} {
		if got, err := ParseView(text); err == nil {
			t.Errorf("%q: got the view %q, want that it is refused", text, got)
		}
	}
}

func TestAViewOfOnePersonShowsNobodyElse(t *testing.T) {
	t.Parallel()
	people := []Participant{
		{ID: "p1", UserID: "bea"}, {ID: "p2", UserID: "grid"}, {ID: "p3"}, {ID: "p4", UserID: "p3"},
		{ID: "p5", UserID: "participant:p3"}, {ID: "p6", UserID: "user:bea"},
		{ID: "p7", UserID: "👩‍🚀 \"x\""},
	}
	for _, p := range people {
		view := viewOf(p)
		if parsed, err := ParseView(string(view)); err != nil || parsed != view {
			t.Errorf("the view of %+v: got %q, which reads as %q, %v", p, view, parsed, err)
		}
		for _, other := range people {
			if got, want := view.Shows(other), p.ID == other.ID; got != want {
				t.Errorf("%q shows %+v: got %v, want %v", view, other, got, want)
			}
		}
		for _, all := range []View{"", ViewGrid, ViewSpotlight} {
			if !all.Shows(p) {
				t.Errorf("%q does not show %+v", all, p)
			}
		}
	}
}
