package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/ivs"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// StagesCommand is `stagedoor stages`. It works on the database, whether a server runs or not.
type StagesCommand struct {
	Add    StagesAddCommand    `cmd:"" help:"Create a local stage, or add an AWS stage by its ARN."`
	List   StagesListCommand   `cmd:"" help:"List all stages with their limits."`
	Set    StagesSetCommand    `cmd:"" help:"Rename a stage, or change its limits."`
	Remove StagesRemoveCommand `cmd:"" help:"Remove a stage here; an AWS stage stays in AWS."`
}

// StagesAddCommand is `stagedoor stages add`.
type StagesAddCommand struct {
	DataSettings
	AnswerSettings
	IVSEndpoint string `help:"Endpoint of the IVS real-time API; only for an emulator." name:"ivs-endpoint" placeholder:"URL"`
	Stage       string `arg:"" name:"stage" help:"Name of a new local stage, or ARN of an AWS stage."`
}

// Run adds a stage.
func (cmd *StagesAddCommand) Run(ctx context.Context, p *process) error {
	return withControl(ctx, cmd.DataSettings, p, func(c *access.Control) error {
		made, err := cmd.add(ctx, c.Stages)
		if err != nil {
			return forPerson(err)
		}
		if cmd.JSON {
			return printJSON(p.out, map[string]stageJSON{"stage": describeStage(made)})
		}
		fmt.Fprintf(p.out, "%s is added: %s\n", made.Stage.Name, made.Stage.ARN)
		return nil
	})
}

func (cmd *StagesAddCommand) add(
	ctx context.Context, stages *access.Stages,
) (access.StageAccess, error) {
	arn := stage.ARN(cmd.Stage)
	if strings.HasPrefix(cmd.Stage, "arn:") {
		if err := cmd.addAWS(ctx, stages, arn); err != nil {
			return access.StageAccess{}, err
		}
	} else {
		made, err := stages.AddLocal(ctx, access.CommandLine(), cmd.Stage)
		if err != nil {
			return access.StageAccess{}, err
		}
		arn = made.ARN
	}
	kept, err := stages.Get(ctx, arn) // the name may have changed
	return access.StageAccess{Stage: kept.Stage, Limits: kept.Limits}, err
}

// addAWS requests an AWS stage with its endpoints from AWS, and adds it.
func (cmd *StagesAddCommand) addAWS(
	ctx context.Context, stages *access.Stages, arn stage.ARN,
) error {
	if _, err := stage.ParseARN(string(arn)); err != nil {
		return err
	}
	if arn.Local() {
		return errors.New("a new local stage needs a name, not an ARN")
	}
	settings := AWSSettings{IVSRegion: []string{arn.Region()}, IVSEndpoint: cmd.IVSEndpoint}
	if err := settings.check(); err != nil {
		return err
	}
	side, err := openAWS(ctx, settings, cmd.Data, ivs.Config{Cache: endpointCache{stages}},
		nil)
	if err != nil {
		return err
	}
	found, err := side.Stage(ctx, arn)
	if err != nil {
		return err
	}
	return stages.AddAWS(ctx, access.CommandLine(), found)
}

// StagesListCommand is `stagedoor stages list`.
type StagesListCommand struct {
	DataSettings
	AnswerSettings
}

// Run lists all stages.
func (cmd *StagesListCommand) Run(ctx context.Context, p *process) error {
	return withDirectory(ctx, cmd.DataSettings, p, func(d *directory) error {
		if cmd.JSON {
			list := make([]stageJSON, 0, len(d.stages))
			for _, s := range d.stages {
				list = append(list, describeStage(s))
			}
			return printJSON(p.out, map[string][]stageJSON{"stages": list})
		}
		w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tHEIGHT\tBITRATE\tKEYFRAMES\tARN")
		for _, s := range d.stages {
			l := s.Limits
			fmt.Fprintf(w, "%s\t%dp\t%d kb/s (%d advised)\t%gs\t%s\n", s.Stage.Name, l.MaxHeight,
				l.MaxBitrate/1000, l.AdvisedBitrate/1000, l.MaxKeyframeInterval, s.Stage.ARN)
		}
		return w.Flush()
	})
}

// A stageJSON is a stage as --json prints it.
type stageJSON struct {
	ARN    stage.ARN    `json:"arn"`
	Name   string       `json:"name"`
	Served string       `json:"served"` // "local" or "aws"
	Limits stage.Limits `json:"limits"`
}

func describeStage(s access.StageAccess) stageJSON {
	served := "aws"
	if s.Stage.ARN.Local() {
		served = "local"
	}
	return stageJSON{s.Stage.ARN, s.Stage.Name, served, s.Limits}
}

// StagesSetCommand is `stagedoor stages set`.
type StagesSetCommand struct {
	DataSettings
	Stage            string        `arg:"" help:"Stage, by name or ARN."`
	Name             string        `help:"New name."`
	MaxHeight        int           `help:"Largest height of the picture, in pixels."`
	MaxBitrate       int           `help:"Highest bitrate of the video, in kb/s."`
	AdvisedBitrate   int           `help:"Bitrate that the dock sets in OBS, in kb/s."`
	KeyframeInterval time.Duration `help:"Longest keyframe interval."`
}

// Run changes the settings that have a flag on the command line, and keeps the others.
func (cmd *StagesSetCommand) Run(ctx context.Context, p *process) error {
	return withDirectory(ctx, cmd.DataSettings, p, func(d *directory) error {
		found, err := d.stage(cmd.Stage)
		if err != nil {
			return err
		}
		was := found.Limits
		limits := stage.Limits{
			MaxHeight:           cmp.Or(cmd.MaxHeight, was.MaxHeight),
			MaxBitrate:          cmp.Or(cmd.MaxBitrate*1000, was.MaxBitrate),
			AdvisedBitrate:      cmp.Or(cmd.AdvisedBitrate*1000, was.AdvisedBitrate),
			MaxKeyframeInterval: cmp.Or(cmd.KeyframeInterval.Seconds(), was.MaxKeyframeInterval),
		}
		arn := found.Stage.ARN
		err = d.control.Stages.Update(ctx, access.CommandLine(), arn, cmd.Name, &limits)
		if err != nil {
			return err
		}
		fmt.Fprintf(p.out, "%s is changed.\n", cmp.Or(cmd.Name, found.Stage.Name))
		return nil
	})
}

// StagesRemoveCommand is `stagedoor stages remove`.
type StagesRemoveCommand struct {
	DataSettings
	Stage string `arg:"" help:"Stage, by name or ARN."`
}

// Run removes a stage. A running server ends its sessions within seconds.
func (cmd *StagesRemoveCommand) Run(ctx context.Context, p *process) error {
	return withDirectory(ctx, cmd.DataSettings, p, func(d *directory) error {
		found, err := d.stage(cmd.Stage)
		if err != nil {
			return err
		}
		err = d.control.Stages.Remove(ctx, access.CommandLine(), found.Stage.ARN)
		if err != nil {
			return err
		}
		fmt.Fprintln(p.out, found.Stage.Name, "is removed.")
		return nil
	})
}
