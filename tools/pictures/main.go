// Command pictures makes docs/pictures from the screenshots that the tests of the pages take:
//
//	pictures SCREENSHOTS FOLDER
//
// Afterwards FOLDER has exactly the pictures of the list below. `make pictures` runs this command.
package main

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// A part is a screenshot, or a range of its rows.
type part struct {
	screenshot string
	top, end   int // rows; 0 means all, and a negative top counts from the end
}

// pictures are the pictures of the documents by name. Each consists of one or more screenshots side
// by side.
var pictures = map[string][]part{
	"dock": {
		{screenshot: "not-set-up-320-dock"}, {screenshot: "ready-try-320-browser"},
		{screenshot: "live-320-dock"}, {screenshot: "refused-320-dock"},
	},
	"setup":           {{screenshot: "setup", end: 480}},
	"what-comes-next": {{screenshot: "first-hour", end: 960}},
	"invite":          {{screenshot: "invite", end: 480}},
	"sign-in":         {{screenshot: "signed-out-320-dock", end: 420}},
	"sign-in-with-code": {
		{screenshot: "sign-in-code-320", end: 560}, {screenshot: "device-320", end: 560},
	},
	"pairing":    {{screenshot: "obs-password-320-dock"}},
	"set-up-obs": {{screenshot: "not-set-up-320-dock"}, {screenshot: "setting-up-320-dock"}},
	"ready":      {{screenshot: "ready-try-320-browser", end: 420}},
	"rehearsal": {
		{screenshot: "rehearsing-320-browser"}, {screenshot: "rehearsed-320-browser"},
	},
	"live":             {{screenshot: "live-320-dock"}},
	"sound-not-heard":  {{screenshot: "live-wrong-320-dock"}},
	"not-live":         {{screenshot: "refused-320-dock", end: 420}},
	"test-picture":     {{screenshot: "test-picture", top: -420}},
	"people":           {{screenshot: "people-guest-dark-320"}},
	"guest-links":      {{screenshot: "guest-links-460"}},
	"guest-door":       {{screenshot: "guest-join-460"}},
	"watch":            {{screenshot: "watch"}},
	"console-live":     {{screenshot: "console-live-460", end: 700}},
	"console-person":   {{screenshot: "console-person-1280"}},
	"console-stages":   {{screenshot: "console-stages-1280", end: 420}},
	"console-programs": {{screenshot: "console-programs-1280"}},
	"console-check":    {{screenshot: "console-system-460", end: 480}},
}

const gap = 8 // pixels between screenshots

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: pictures SCREENSHOTS FOLDER")
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func write(from, to string) error {
	made := map[string]image.Image{}
	for name, parts := range pictures {
		picture, err := join(from, parts)
		if err != nil {
			return fmt.Errorf("picture %s: %w", name, err)
		}
		made[name] = picture
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(made)) {
		if err := save(filepath.Join(to, name+".png"), made[name]); err != nil {
			return err
		}
	}
	return nil
}

// join places screenshots side by side.
func join(from string, parts []part) (image.Image, error) {
	var images []*image.RGBA
	size := image.Point{X: -gap}
	for _, p := range parts {
		shown, err := p.load(from)
		if err != nil {
			return nil, err
		}
		images = append(images, shown)
		size.X += gap + shown.Rect.Dx()
		size.Y = max(size.Y, shown.Rect.Dy())
	}
	all := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(all, all.Bounds(), image.NewUniform(color.Gray{Y: 24}), image.Point{}, draw.Src)
	at := image.Point{}
	for _, shown := range images {
		draw.Draw(all, shown.Rect.Add(at), shown, image.Point{}, draw.Src)
		at.X += shown.Rect.Dx() + gap
	}
	return all, nil
}

// load reads the rows of the part.
func (p part) load(folder string) (*image.RGBA, error) {
	file, err := os.Open(filepath.Join(folder, p.screenshot+".png"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	whole, err := png.Decode(file)
	if err != nil {
		return nil, err
	}
	rows := whole.Bounds()
	if p.end > 0 {
		rows.Max.Y = min(rows.Max.Y, rows.Min.Y+p.end)
	}
	if p.top < 0 {
		rows.Min.Y = max(rows.Min.Y, rows.Max.Y+p.top)
	}
	shown := image.NewRGBA(rows.Sub(rows.Min))
	draw.Draw(shown, shown.Rect, whole, rows.Min, draw.Src)
	return shown, nil
}

func save(path string, picture image.Image) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(file, picture); err != nil {
		return err
	}
	return file.Close()
}
