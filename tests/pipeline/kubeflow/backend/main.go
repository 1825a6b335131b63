// Compiles a pipeline file with Kubeflow's own backend compiler and prints the Argo workflow.
// With a condition and an ExecutorInput in JSON, prints what Kubeflow's driver makes of it.
package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/kubeflow/pipelines/api/v2alpha1/go/pipelinespec"
	"github.com/kubeflow/pipelines/backend/src/v2/compiler/argocompiler"
	"github.com/kubeflow/pipelines/backend/src/v2/expression"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/yaml"
)

func main() {
	var err error
	if len(os.Args) == 3 {
		err = holds(os.Args[1], os.Args[2])
	} else {
		err = run(os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func holds(condition string, json string) error {
	input := &pipelinespec.ExecutorInput{}
	if err := protojson.Unmarshal([]byte(json), input); err != nil {
		return err
	}
	evaluator, err := expression.New()
	if err != nil {
		return err
	}
	result, err := evaluator.Condition(input, condition)
	if err != nil {
		return err
	}
	fmt.Println(result)
	return nil
}

func run(path string) error {
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	documents := bytes.Split(file, []byte("\n---\n"))
	spec := &structpb.Struct{}
	if err := fromYAML(documents[0], spec); err != nil {
		return err
	}
	var kubernetes *pipelinespec.SinglePlatformSpec
	if len(documents) > 1 {
		platform := &pipelinespec.PlatformSpec{}
		if err := fromYAML(documents[1], platform); err != nil {
			return err
		}
		kubernetes = platform.Platforms["kubernetes"]
	}
	job := &pipelinespec.PipelineJob{PipelineSpec: spec}
	workflow, err := argocompiler.Compile(job, kubernetes, nil)
	if err != nil {
		return err
	}
	text, err := yaml.Marshal(workflow)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

func fromYAML(text []byte, message proto.Message) error {
	json, err := yaml.YAMLToJSON(text)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(json, message)
}
