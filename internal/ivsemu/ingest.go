package ivsemu

import (
	"crypto/rand"
	"fmt"
	"maps"
	"strings"
)

// Ingest configurations are stored. Their state is always INACTIVE, since the emulator has no RTMP
// server.

func createIngestConfiguration(e *Emulator, r *request, in *createIngestIn) (*ingestOut, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if arn := deref(in.StageArn); arn != "" {
		if _, err := e.state.stage(r.region, arn); err != nil {
			return nil, invalid("stageArn: there is no stage %s in %s", arn, r.region)
		}
	}
	if len(inRegion(e.state.Ingests, r.region)) >= maxIngests {
		return nil, overQuota(
			"Your account has %d ingest configurations in %s, which is the quota. Delete some, "+
				"or ask AWS for more.", maxIngests, r.region)
	}
	id := newID()
	c := &ingestRecord{
		record: record{
			Seq: e.state.next(), Region: r.region, Arn: e.arn(r.region, kindIngest, id),
			Name: deref(in.Name), Tags: tagsOf(in.Tags),
		},
		Shape: ingestShape{
			IngestProtocol: *in.IngestProtocol, StreamKey: e.streamKey(r.region, id),
			StageArn:      deref(in.StageArn),
			ParticipantID: newID(), State: "INACTIVE", UserID: deref(in.UserID),
			Attributes: in.Attributes,
		},
	}
	e.setRedundant(c, in.RedundantIngest)
	e.state.Ingests = append(e.state.Ingests, c)
	return &ingestOut{c.full()}, nil
}

// streamKey returns a key such as rt_123456789012_us-west-2_AbCdEfGh1234_….
func (e *Emulator) streamKey(region, id string) string {
	return fmt.Sprintf("rt_%s_%s_%s_%s", e.cfg.Account, region, id, strings.ToLower(rand.Text()))
}

func (e *Emulator) setRedundant(c *ingestRecord, redundant bool) {
	c.Shape.RedundantIngest = redundant
	c.Shape.RedundantIngestCredentials = nil
	if redundant {
		second := ingestCredential{
			ParticipantID: newID(), StreamKey: e.streamKey(c.Region, newID()),
		}
		c.Shape.RedundantIngestCredentials = []ingestCredential{
			{c.Shape.ParticipantID, c.Shape.StreamKey}, second,
		}
	}
}

func (c *ingestRecord) full() ingestShape {
	shape := c.Shape
	shape.Arn, shape.Name, shape.Tags = c.Arn, c.Name, maps.Clone(c.Tags)
	return shape
}

func (c *ingestRecord) summary() ingestShape {
	shape := c.full()
	shape.StreamKey, shape.Attributes, shape.Tags, shape.RedundantIngestCredentials = "", nil, nil,
		nil
	return shape
}

func getIngestConfiguration(e *Emulator, r *request, in *ingestArnIn) (*ingestOut, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.state.ingest(r.region, *in.Arn)
	if err != nil {
		return nil, err
	}
	return &ingestOut{c.full()}, nil
}

func listIngestConfigurations(e *Emulator, r *request, in *listIngestsIn) (*ingestsOut, error) {
	if in.FilterByStageArn != nil && in.FilterByState != nil {
		return nil, invalid("Only one of filterByStageArn and filterByState can be given.")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var matching []*ingestRecord
	for _, c := range inRegion(e.state.Ingests, r.region) {
		if in.FilterByStageArn != nil && c.Shape.StageArn != *in.FilterByStageArn ||
			in.FilterByState != nil && c.Shape.State != *in.FilterByState {
			continue
		}
		matching = append(matching, c)
	}
	name := strings.Join([]string{"ingests", r.region, deref(in.FilterByStageArn),
		deref(in.FilterByState)}, "/")
	list, next, err := page(e.pages, name, in.paged, matching, seqOf[*ingestRecord])
	if err != nil {
		return nil, err
	}
	out := &ingestsOut{IngestConfigurations: make([]ingestShape, len(list)), NextToken: next}
	for i, c := range list {
		out.IngestConfigurations[i] = c.summary()
	}
	return out, nil
}

func updateIngestConfiguration(e *Emulator, r *request, in *updateIngestIn) (*ingestOut, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.state.ingest(r.region, *in.Arn)
	if err != nil {
		return nil, err
	}
	if in.StageArn != nil {
		if *in.StageArn != "" {
			if _, err := e.state.stage(r.region, *in.StageArn); err != nil {
				return nil, err
			}
		}
		c.Shape.StageArn = *in.StageArn
	}
	if in.RedundantIngest != nil && *in.RedundantIngest != c.Shape.RedundantIngest {
		e.setRedundant(c, *in.RedundantIngest)
	}
	return &ingestOut{c.full()}, nil
}

func deleteIngestConfiguration(e *Emulator, r *request, in *ingestArnIn) (*empty, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.state.ingest(r.region, *in.Arn)
	if err != nil {
		return nil, err
	}
	e.state.Ingests = without(e.state.Ingests, c)
	return &empty{}, nil
}

type ingestShape struct {
	Arn            string `json:"arn"`
	Name           string `json:"name,omitempty"`
	IngestProtocol string `json:"ingestProtocol"`
	// absent in lists
	StreamKey string `json:"streamKey,omitempty"`
	// "" without a stage
	StageArn                   string             `json:"stageArn"`
	ParticipantID              string             `json:"participantId"`
	State                      string             `json:"state"`
	UserID                     string             `json:"userId,omitempty"`
	RedundantIngest            bool               `json:"redundantIngest"`
	RedundantIngestCredentials []ingestCredential `json:"redundantIngestCredentials,omitempty"`
	Attributes                 map[string]string  `json:"attributes,omitempty"`
	Tags                       map[string]string  `json:"tags,omitempty"`
}

type ingestCredential struct {
	ParticipantID string `json:"participantId"`
	StreamKey     string `json:"streamKey"`
}

type ingestOut struct {
	IngestConfiguration ingestShape `json:"ingestConfiguration"`
}

type ingestsOut struct {
	IngestConfigurations []ingestShape `json:"ingestConfigurations"`
	NextToken            string        `json:"nextToken,omitempty"`
}

type createIngestIn struct {
	IngestProtocol  *string           `json:"ingestProtocol"`
	Name            *string           `json:"name"`
	StageArn        *string           `json:"stageArn"`
	UserID          *string           `json:"userId"`
	Attributes      map[string]string `json:"attributes"`
	InsecureIngest  bool              `json:"insecureIngest"`
	RedundantIngest bool              `json:"redundantIngest"`
	Tags            map[string]string `json:"tags"`
}

func (in *createIngestIn) check(c *checker) {
	if c.required("ingestProtocol", in.IngestProtocol != nil) {
		c.oneOf("ingestProtocol", in.IngestProtocol, "RTMP", "RTMPS")
		if *in.IngestProtocol == "RTMP" && !in.InsecureIngest {
			c.fail(false, "insecureIngest", "Member must be true when ingestProtocol is RTMP")
		}
	}
	c.name(in.Name)
	checkIngestStage(c, in.StageArn)
	c.userID(in.UserID)
	c.attributes(in.Attributes)
	c.tags(in.Tags)
}

type updateIngestIn struct {
	Arn             *string `json:"arn"`
	StageArn        *string `json:"stageArn"`
	RedundantIngest *bool   `json:"redundantIngest"`
}

func (in *updateIngestIn) check(c *checker) {
	c.arn("arn", in.Arn, ingestPattern)
	checkIngestStage(c, in.StageArn)
}

// checkIngestStage checks the ARN of a stage. It also accepts "", which means no stage.
func checkIngestStage(c *checker, arn *string) {
	if arn != nil && *arn != "" {
		c.arn("stageArn", arn, stagePattern)
	}
}

type listIngestsIn struct {
	paged
	FilterByStageArn *string `json:"filterByStageArn"`
	FilterByState    *string `json:"filterByState"`
}

func (in *listIngestsIn) check(c *checker) {
	in.paged.check(c)
	if in.FilterByStageArn != nil {
		c.arn("filterByStageArn", in.FilterByStageArn, stagePattern)
	}
	c.oneOf("filterByState", in.FilterByState, "ACTIVE", "INACTIVE")
}
