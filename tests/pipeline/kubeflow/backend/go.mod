module adarec/kubeflow-backend

go 1.21

require (
	github.com/kubeflow/pipelines v0.0.0-20231208180049-c5658f09ec38
	github.com/kubeflow/pipelines/api v0.0.0-20230331215358-758c91f76784
	google.golang.org/protobuf v1.30.0
	sigs.k8s.io/yaml v1.3.0
)

replace k8s.io/kubernetes => k8s.io/kubernetes v1.11.1
