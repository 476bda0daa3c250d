// Package rtcpeer contains the remote ends of broadcasts for tests. A publisher uses WHIP as OBS
// does, with real H.264 and Opus made by ffmpeg. A viewer uses WHEP and checks that the received
// media can be decoded. Both stay on 127.0.0.1.
package rtcpeer

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4/pkg/media/h264reader"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"
)

// ClipOptions configure the clip that ffmpeg makes. Zero values mean the defaults given here.
type ClipOptions struct {
	Width, Height int           // 640x360
	FPS           int           // 30
	Bitrate       int           // bit/s of the picture; 1,000,000
	Keyint        int           // frames from keyframe to keyframe; 30
	BFrames       int           // consecutive B-frames; 0
	Profile       string        // baseline, main or high; baseline
	Length        time.Duration // of the loop: 2 s, or one keyframe interval if that is longer
	// sound in AAC, which OBS sends labelled as Opus if its audio encoder was not changed
	AAC      bool
	Silent   bool // silence in place of a tone
	LeftTone bool // a tone on the left channel only, at half of full scale: RMS 0.353
}

func (o ClipOptions) withDefaults() ClipOptions {
	o.Width, o.Height = cmp.Or(o.Width, 640), cmp.Or(o.Height, 360)
	o.FPS, o.Bitrate, o.Keyint = cmp.Or(o.FPS, 30), cmp.Or(o.Bitrate,
		1_000_000), cmp.Or(o.Keyint, 30)
	o.Profile = cmp.Or(o.Profile, "baseline")
	if o.BFrames > 0 && o.Profile == "baseline" {
		o.Profile = "main"
	}
	o.Length = max(o.Length, 2*time.Second, time.Duration(o.Keyint)*time.Second/time.Duration(
		o.FPS))
	return o
}

// A Clip is a piece of encoded picture and sound that loops.
type Clip struct {
	Options ClipOptions
	Frames  []Frame
	Audio   [][]byte // Opus packets of 20 ms, or frames of AAC
}

// A Frame is one encoded picture, in the order of decoding.
type Frame struct {
	NALs     [][]byte
	Keyframe bool
	PTS      time.Duration // within the loop
}

// MakeClip makes the clip with ffmpeg, or reads it from the temporary folder if an earlier test has
// made it.
func MakeClip(t testing.TB, o ClipOptions) *Clip {
	t.Helper()
	o = o.withDefaults()
	dir, err := clipFiles(o)
	if err != nil {
		t.Fatalf("making a clip: %v", err)
	}
	clip := &Clip{Options: o}
	if clip.Frames, err = readFrames(dir, o); err != nil {
		t.Fatalf("reading the clip: %v", err)
	}
	if clip.Audio, err = readAudio(dir, o); err != nil {
		t.Fatalf("reading the clip: %v", err)
	}
	return clip
}

// clipFiles creates the files in a folder with a unique name, and then renames the folder, since
// test binaries run concurrently.
func clipFiles(o ClipOptions) (string, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "3 %+v", o))
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("stagedoor-clip-%x", sum[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	work, err := os.MkdirTemp("", "stagedoor-clip-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := encode(work, o); err != nil {
		return "", err
	}
	if err := os.Rename(work, dir); err != nil && !errors.Is(err, os.ErrExist) {
		if _, missing := os.Stat(dir); missing != nil {
			return "", err
		}
	}
	return dir, nil
}

func encode(dir string, o ClipOptions) error {
	seconds := strconv.FormatFloat(o.Length.Seconds(), 'f', 3, 64)
	cabac := 0 // in any profile, the preset ultrafast uses only features of Baseline
	if o.Profile != "baseline" {
		cabac = 1
	}
	video := []string{"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%dx%d:rate=%d", o.Width,
		o.Height, o.FPS), "-t", seconds,
		"-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-profile:v", o.Profile,
		"-b:v", strconv.Itoa(o.Bitrate),
		"-x264-params",
		fmt.Sprintf(
			"keyint=%d:min-keyint=%d:scenecut=0:bframes=%d:b-adapt=0:repeat-headers=1:sliced-threads=0:nal-hrd=cbr:vbv-maxrate=%d:vbv-bufsize=%d:cabac=%d",
			o.Keyint, o.Keyint, o.BFrames, o.Bitrate/1000, o.Bitrate/2000, cabac),
		"video.mkv"}
	annexB := []string{
		"-i", "video.mkv", "-c", "copy", "-bsf:v", "h264_mp4toannexb,h264_metadata=aud=insert",
		"-f", "h264", "video.h264",
	}
	source := "sine=frequency=440:sample_rate=48000"
	if o.Silent {
		source = "anullsrc=sample_rate=48000"
	}
	sound := []string{"-f", "lavfi", "-i", source, "-t", seconds, "-ac", "2"}
	if o.LeftTone { // the amplitude of ffmpeg's sine is an eighth of full scale
		sound = append(sound, "-af", "volume=4,pan=stereo|c0=c0|c1=0*c0")
	}
	if o.AAC {
		sound = append(sound, "-c:a", "aac", "-b:a", "96k", "-f", "adts", "audio.adts")
	} else {
		sound = append(sound, "-c:a", "libopus", "-b:a", "64k", "-frame_duration", "20",
			"-page_duration", "1", "audio.ogg")
	}
	for _, args := range [][]string{video, annexB, sound} {
		if err := run(dir, "ffmpeg", append([]string{"-hide_banner", "-loglevel", "error", "-y"},
			args...)...); err != nil {
			return err
		}
	}
	return run(dir, "ffprobe", "-loglevel", "error", "-show_entries", "packet=pts_time,flags",
		"-of", "csv=p=0", "-o", "packets.csv", "video.mkv")
}

func run(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

func readFrames(dir string, o ClipOptions) ([]Frame, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "video.h264"))
	if err != nil {
		return nil, err
	}
	times, err := readTimes(filepath.Join(dir, "packets.csv"))
	if err != nil {
		return nil, err
	}
	reader, err := h264reader.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	var frames []Frame
	for {
		nal, err := reader.NextNAL()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if nal.UnitType == h264reader.NalUnitTypeAUD {
			frames = append(frames, Frame{})
			continue
		}
		f := &frames[len(frames)-1]
		f.NALs = append(f.NALs, nal.Data)
		f.Keyframe = f.Keyframe || nal.UnitType == h264reader.NalUnitTypeCodedSliceIdr
	}
	if len(frames) == 0 || len(frames) != len(times) {
		return nil, fmt.Errorf("%d frames, but %d timestamps", len(frames), len(times))
	}
	for i := range frames {
		frames[i].PTS = times[i]
	}
	return frames, nil
}

func readTimes(name string) (times []time.Duration, err error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(raw))
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		s, err := strconv.ParseFloat(strings.TrimSpace(row[0]), 64)
		if err != nil {
			return nil, err
		}
		times = append(times, time.Duration(s*float64(time.Second)))
	}
	return times, nil
}

func readAudio(dir string, o ClipOptions) ([][]byte, error) {
	if o.AAC {
		raw, err := os.ReadFile(filepath.Join(dir, "audio.adts"))
		return splitADTS(raw), err
	}
	f, err := os.Open(filepath.Join(dir, "audio.ogg"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	reader, _, err := oggreader.NewWith(f)
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

// splitADTS removes the header of 7 bytes from each frame. OBS puts the rest into RTP.
func splitADTS(raw []byte) (frames [][]byte) {
	for len(raw) > 7 {
		size := int(raw[3]&3)<<11 | int(raw[4])<<3 | int(raw[5])>>5
		if size <= 7 || size > len(raw) {
			return frames
		}
		frames = append(frames, raw[7:size])
		raw = raw[size:]
	}
	return frames
}
