package stage

import (
	"crypto/rand"
	"regexp"
	"strings"
	"time"
)

// LocalRegion is the region of the stages that Stagedoor serves itself.
const LocalRegion = "local"

const localPrefix = "arn:aws:ivs:" + LocalRegion + ":000000000000:stage/"

// arnPattern is the pattern of StageArn in the model of the IVS real-time API.
var arnPattern = regexp.MustCompile(`^arn:aws:ivs:[a-z0-9-]+:[0-9]+:stage/[a-zA-Z0-9-]+$`)

// An ARN names a stage. Its region says whether Stagedoor or AWS serves the stage.
type ARN string

// ParseARN validates a text from a request or a response as an ARN.
func ParseARN(s string) (ARN, error) {
	if len(s) > 128 || !arnPattern.MatchString(s) {
		return "", Errorf(ErrInvalid, "A stage is named by its ARN, such as "+
			"arn:aws:ivs:local:000000000000:stage/abcdABCDefgh "+
			"or arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh.")
	}
	return ARN(s), nil
}

// LocalARN returns the ARN of the local stage with that ID.
func LocalARN(id string) ARN { return ARN(localPrefix + id) }

// rehearsalPrefix is the prefix of the ARNs of private stages. NewID returns no "-", so no other
// stage has such an ARN.
const rehearsalPrefix = localPrefix + "rehearsal-"

// RehearsalARN returns the private local stage of a user, on which only that user rehearses. The
// stage has no record, so it is in no list and has no grants.
func RehearsalARN(userID string) ARN { return ARN(rehearsalPrefix + userID) }

// RehearsalUser returns the ID of the user of a private stage, or "".
func (a ARN) RehearsalUser() string {
	if id, ok := strings.CutPrefix(string(a), rehearsalPrefix); ok {
		return id
	}
	return ""
}

// Rehearsal reports whether the stage is a private stage for rehearsals.
func (a ARN) Rehearsal() bool { return strings.HasPrefix(string(a), rehearsalPrefix) }

// ID returns the last part of the ARN, which is also the claim "topic" of a token.
func (a ARN) ID() string { return string(a[strings.LastIndexByte(string(a), '/')+1:]) }

// Region returns the AWS region of the stage, or LocalRegion.
func (a ARN) Region() string { return a.field(3) }

// Account returns the AWS account of the stage.
func (a ARN) Account() string { return a.field(4) }

// Local reports whether Stagedoor serves the stage itself.
func (a ARN) Local() bool { return strings.HasPrefix(string(a), localPrefix) }

func (a ARN) field(n int) string {
	if fields := strings.Split(string(a), ":"); n < len(fields) {
		return fields[n]
	}
	return ""
}

// AWSRegions lists the regions in which Amazon IVS has real-time stages (AWS General Reference,
// "Amazon IVS endpoints and quotas").
func AWSRegions() []string {
	return []string{
		"us-east-1", "us-west-2", "ap-south-1", "ap-northeast-1", "ap-northeast-2", "eu-central-1",
		"eu-west-1",
	}
}

// idLetters are the characters of IDs, in the order of their bytes.
const idLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewID returns a random ID of 12 letters and digits (71 bits), in the format of IVS's own stage
// and participant IDs. IVS also documents "_" and "-" for IDs, but the pattern of GetParticipant
// refuses "_".
func NewID() string {
	var raw [32]byte
	id := make([]byte, 0, 12)
	for {
		rand.Read(raw[:])
		for _, b := range raw {
			// 248 is the largest multiple of 62 in a byte. Values from 248 on are skipped, because
			// they would make some characters more likely.
			if b >= 248 {
				continue
			}
			if id = append(id, idLetters[b%62]); len(id) == cap(id) {
				return string(id)
			}
		}
	}
}

// NewParticipantID returns an ID in the format of NewID that sorts by time: 6 characters are the
// time in steps of 10 ms, and 6 are random (36 bits). So the records of new tokens are neighbors in
// the index of a database, as those of ordered UUIDs are (RFC 9562 section 2.1). The order starts
// again after 18 years.
func NewParticipantID(now time.Time) ParticipantID {
	const timed = 6
	var id [timed]byte
	steps := now.UnixMilli() / 10
	for i := range id {
		id[timed-1-i] = idLetters[steps%int64(len(idLetters))]
		steps /= int64(len(idLetters))
	}
	return ParticipantID(string(id[:]) + NewID()[timed:])
}
