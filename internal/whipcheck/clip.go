package whipcheck

import (
	"bytes"
	"embed"
	"errors"
	"io"
	"time"

	"github.com/pion/webrtc/v4/pkg/media/h264reader"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"
)

// The clips are a test picture of 2 s, without B-frames and with them, and a tone of 1 s in stereo
// Opus. The picture has 320×180 pixels, 20 frames a second and a keyframe each second.
//
//go:embed clip
var clips embed.FS

const (
	frameTime  = time.Second / 20
	packetTime = 20 * time.Millisecond
	gop        = 20 // frames from keyframe to keyframe
)

// A picture is one encoded frame, in the order of decoding.
type picture struct {
	data    []byte // Annex B
	display int    // its position in display order
}

func readPictures(name string, bFrames bool) ([]picture, error) {
	raw, err := clips.ReadFile("clip/" + name)
	if err != nil {
		return nil, err
	}
	reader, err := h264reader.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	var pictures []picture
	for {
		nal, err := reader.NextNAL()
		if errors.Is(err, io.EOF) {
			return pictures, nil
		}
		if err != nil {
			return nil, err
		}
		if nal.UnitType == h264reader.NalUnitTypeAUD {
			i := len(pictures)
			if bFrames {
				i = displayed(i)
			}
			pictures = append(pictures, picture{display: i})
			continue
		}
		last := &pictures[len(pictures)-1]
		last.data = append(append(last.data, 0, 0, 0, 1), nal.Data...)
	}
}

// displayed returns the display position of a frame in the clip with B-frames: in each group, all
// frames except the first and the last swap places in pairs.
func displayed(i int) int {
	switch k := i % gop; {
	case k == 0 || k == gop-1:
		return i
	case k%2 == 1:
		return i + 1
	default:
		return i - 1
	}
}

func readTone() ([][]byte, error) {
	raw, err := clips.ReadFile("clip/tone.ogg")
	if err != nil {
		return nil, err
	}
	reader, _, err := oggreader.NewWith(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	var packets [][]byte
	for {
		page, _, err := reader.ParseNextPage()
		if errors.Is(err, io.EOF) {
			return packets, nil
		}
		if err != nil {
			return nil, err
		}
		if !bytes.HasPrefix(page, []byte("OpusTags")) {
			packets = append(packets, page)
		}
	}
}
