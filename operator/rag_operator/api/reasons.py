"""The closed list of reasons in conditions and events, each with what a user does about it."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a condition is as it is. The value is the word that users see in the column REASON."""

    # All is well, or on its way.
    AllChecksPassed = "AllChecksPassed"
    Valid = "Valid"
    ValidWithWarnings = "ValidWithWarnings"
    ApiServing = "ApiServing"
    QdrantServing = "QdrantServing"
    VectorStoreServing = "VectorStoreServing"
    IndexVerified = "IndexVerified"
    ExtractiveServing = "ExtractiveServing"
    ModelServing = "ModelServing"
    ExternalServing = "ExternalServing"
    ModelDisabled = "ModelDisabled"
    Settled = "Settled"
    RolledBack = "RolledBack"
    NotSuspended = "NotSuspended"
    NotDegraded = "NotDegraded"
    Suspended = "Suspended"
    ScaledToZero = "ScaledToZero"
    TableRefreshing = "TableRefreshing"
    ApiStarting = "ApiStarting"
    QdrantStarting = "QdrantStarting"
    WaitingForIndex = "WaitingForIndex"
    WaitingForApi = "WaitingForApi"
    IndexBuilding = "IndexBuilding"
    ModelLoading = "ModelLoading"
    ModelFetching = "ModelFetching"
    GpuScheduled = "GpuScheduled"
    GpuPending = "GpuPending"
    GpuFreedSoon = "GpuFreedSoon"
    ModelRollOut = "ModelRollOut"

    # The object itself.
    InvalidObject = "InvalidObject"
    PromptVersionReused = "PromptVersionReused"
    IndexVersionReused = "IndexVersionReused"
    RollbackTargetUnknown = "RollbackTargetUnknown"
    RefreshScheduleImpossible = "RefreshScheduleImpossible"

    # What the object names.
    ConfigMapMissing = "ConfigMapMissing"
    ConfigMapKeyMissing = "ConfigMapKeyMissing"
    SecretMissing = "SecretMissing"
    SecretKeyMissing = "SecretKeyMissing"
    ApiKeysMissing = "ApiKeysMissing"
    ClaimMissing = "ClaimMissing"
    NameTaken = "NameTaken"

    # Pods and volumes.
    ImagePullFailed = "ImagePullFailed"
    CrashLoop = "CrashLoop"
    StartFailed = "StartFailed"
    ProbeFailing = "ProbeFailing"
    OutOfMemory = "OutOfMemory"
    Unschedulable = "Unschedulable"
    InsufficientResources = "InsufficientResources"
    VolumePending = "VolumePending"
    Evicted = "Evicted"
    NodeLost = "NodeLost"
    RollOutHeld = "RollOutHeld"
    ApiReturned = "ApiReturned"
    AdmissionRefused = "AdmissionRefused"
    QuotaExceeded = "QuotaExceeded"

    # GPUs for the model server.
    GpuNotOffered = "GpuNotOffered"
    NoMatchingNode = "NoMatchingNode"
    UntoleratedTaint = "UntoleratedTaint"
    NodeUnavailable = "NodeUnavailable"
    InsufficientGpu = "InsufficientGpu"
    GpusBusy = "GpusBusy"

    # The model server.
    EngineNotSupported = "EngineNotSupported"
    InvalidEngineArgument = "InvalidEngineArgument"
    RemoteCodeForbidden = "RemoteCodeForbidden"
    RuntimeClassForbidden = "RuntimeClassForbidden"
    ContextTooShort = "ContextTooShort"
    GpuNotVisible = "GpuNotVisible"
    UnsupportedDriver = "UnsupportedDriver"
    UnsupportedGpu = "UnsupportedGpu"
    GpuOutOfMemory = "GpuOutOfMemory"
    SharedMemoryTooSmall = "SharedMemoryTooSmall"
    CacheFull = "CacheFull"
    WeightsMissing = "WeightsMissing"
    UnsupportedModel = "UnsupportedModel"
    RemoteCodeRefused = "RemoteCodeRefused"
    UnsupportedQuantization = "UnsupportedQuantization"
    ContextTooLong = "ContextTooLong"
    LoadDeadlineExceeded = "LoadDeadlineExceeded"
    EngineStalled = "EngineStalled"
    EngineCrashed = "EngineCrashed"
    ModelUnreachable = "ModelUnreachable"

    # The download of a model's weights.
    ModelDownloadUnauthorized = "ModelDownloadUnauthorized"
    ModelNotFound = "ModelNotFound"
    ModelCacheFull = "ModelCacheFull"
    ModelDownloadFailed = "ModelDownloadFailed"

    # The running programs.
    ApiUnreachable = "ApiUnreachable"
    RevisionMismatch = "RevisionMismatch"
    VectorStoreUnreachable = "VectorStoreUnreachable"
    VectorStoreUnauthorized = "VectorStoreUnauthorized"
    VectorStoreRefused = "VectorStoreRefused"
    UnsupportedVectorStore = "UnsupportedVectorStore"
    CollectionMissing = "CollectionMissing"
    CollectionLost = "CollectionLost"
    CollectionConflict = "CollectionConflict"
    CollectionDamaged = "CollectionDamaged"
    AliasTaken = "AliasTaken"
    AliasMoved = "AliasMoved"
    InsufficientSpace = "InsufficientSpace"

    # The embedding server.
    EmbeddingUnreachable = "EmbeddingUnreachable"
    EmbeddingUnauthorized = "EmbeddingUnauthorized"
    EmbeddingModelNotFound = "EmbeddingModelNotFound"
    EmbeddingRefused = "EmbeddingRefused"
    EmbeddingDimensionWrong = "EmbeddingDimensionWrong"

    # The index Job.
    DocumentsMissing = "DocumentsMissing"
    NoDocuments = "NoDocuments"
    TooManyDocuments = "TooManyDocuments"
    InvalidSettings = "InvalidSettings"
    VerificationFailed = "VerificationFailed"
    NotBuilt = "NotBuilt"
    Interrupted = "Interrupted"
    DeadlineExceeded = "DeadlineExceeded"
    IndexFailed = "IndexFailed"

    InternalError = "InternalError"


_NOTHING = "Nothing to do."
_WAIT = "Nothing to do but wait; the message says for what."

REMEDIES: dict[Reason, str] = {
    Reason.AllChecksPassed: _NOTHING,
    Reason.Valid: _NOTHING,
    Reason.ValidWithWarnings: "Do what the message says; what is declared is carried out all the same.",
    Reason.ApiServing: _NOTHING,
    Reason.QdrantServing: _NOTHING,
    Reason.VectorStoreServing: _NOTHING,
    Reason.IndexVerified: _NOTHING,
    Reason.ExtractiveServing: _NOTHING,
    Reason.ModelServing: _NOTHING,
    Reason.ExternalServing: _NOTHING,
    Reason.ModelDisabled: "Set spec.model.enabled to true to ask the model again.",
    Reason.Settled: _NOTHING,
    Reason.RolledBack: "Remove spec.rollback to go forward again.",
    Reason.NotSuspended: _NOTHING,
    Reason.NotDegraded: _NOTHING,
    Reason.Suspended: "Set spec.suspend to false to run the service again.",
    Reason.ScaledToZero: "Set spec.api.replicas to 1 or more to answer questions again.",
    Reason.TableRefreshing: _WAIT,
    Reason.ApiStarting: _WAIT,
    Reason.QdrantStarting: _WAIT,
    Reason.WaitingForIndex: _WAIT,
    Reason.WaitingForApi: _WAIT,
    Reason.IndexBuilding: _WAIT,
    Reason.ModelLoading: _WAIT,
    Reason.ModelFetching: _WAIT,
    Reason.GpuScheduled: _NOTHING,
    Reason.GpuPending: _WAIT,
    Reason.GpuFreedSoon: _WAIT,
    Reason.ModelRollOut: "An event only: how a model change is rolled out now, and what it costs. Nothing to do.",
    Reason.InvalidObject: "Correct the field that the message names: the object was stored under older rules.",
    Reason.PromptVersionReused: "Give the changed prompt a new spec.prompt.version, or put the old text back.",
    Reason.IndexVersionReused: "Give the changed documents or settings a new spec.index.version, or put the old ones back.",
    Reason.RollbackTargetUnknown: "Name content that is kept; the message lists it. Or remove spec.rollback.",
    Reason.RefreshScheduleImpossible: "Correct the day or month of spec.index.refresh.schedule, or remove it.",
    Reason.ConfigMapMissing: "Create the ConfigMap that the message names, in the namespace of the RagService.",
    Reason.ConfigMapKeyMissing: "Add the key that the message names to the ConfigMap, or correct the key in the spec.",
    Reason.SecretMissing: "Create the Secret that the message names, in the namespace of the RagService.",
    Reason.SecretKeyMissing: "Add the key that the message names to the Secret, or correct the key in the spec.",
    Reason.ApiKeysMissing: "Put a valid list of keys into the Secret that spec.api.auth.keysSecretRef names.",
    Reason.ClaimMissing: "Create the PersistentVolumeClaim that the message names, in the namespace of the RagService.",
    Reason.NameTaken: "Delete or rename the object that the message names, or make the RagService under another name.",
    Reason.ImagePullFailed: "Check the image's name and tag, and that the nodes may pull from its registry.",
    Reason.CrashLoop: "Read the log of the pod that the message names (kubectl logs --previous).",
    Reason.StartFailed: "The message repeats what the node says; correct the image or its user, or repair the node.",
    Reason.ProbeFailing: "Check that the image is the one that belongs there; read the log of the pod that the message names.",
    Reason.OutOfMemory: "Raise the memory limit of the component in its resources.",
    Reason.Unschedulable: "Make a node fit: the message repeats what the scheduler says of each.",
    Reason.InsufficientResources: "Lower the resource requests of the component, or add nodes.",
    Reason.VolumePending: "Check that the storage class exists and can provide the volume (kubectl describe pvc).",
    Reason.Evicted: "Free what the node ran out of, or add nodes; another pod is started by itself.",
    Reason.NodeLost: "Repair the node, or delete it so that its pods are started elsewhere.",
    Reason.RollOutHeld: "Undo by hand what holds the roll-out; the message names the field.",
    Reason.ApiReturned: "Correct spec.api, its image above all, or go back with spec.rollback.revision.",
    Reason.AdmissionRefused: "Ask who runs the cluster about the admission rule that the message quotes.",
    Reason.QuotaExceeded: "Raise the namespace's quota, or lower requests and replicas.",
    Reason.GpuNotOffered: "Install or repair the device plugin on the GPU nodes, or correct spec.model.vllm.gpu.resourceName.",
    Reason.NoMatchingNode: "Correct gpu.product, nodeSelector or affinity in spec.model.vllm, or label a node.",
    Reason.UntoleratedTaint: "Add the taint that the message names to spec.model.vllm.tolerations.",
    Reason.NodeUnavailable: "Repair or uncordon the node that the message names, or add nodes.",
    Reason.InsufficientGpu: "Lower spec.model.vllm.gpu.count, or add a node with that many GPUs.",
    Reason.GpusBusy: "Free GPUs, or add a node; the message tells which namespaces hold them.",
    Reason.EngineNotSupported: "Name an image of vLLM 0.18 or newer in spec.model.vllm.image.",
    Reason.InvalidEngineArgument: "Correct spec.model.vllm.args as the message says.",
    Reason.RemoteCodeForbidden: "Choose a model that needs no code of its own, or have the operator's setting changed.",
    Reason.RuntimeClassForbidden: "Choose one of the runtime classes that the message lists, or none.",
    Reason.ContextTooShort: "Raise spec.model.vllm.maxModelTokens, or shorten the prompt or the chunks.",
    Reason.GpuNotVisible: "Check spec.model.vllm.gpu, the runtime class, and that the device plugin runs on the node.",
    Reason.UnsupportedDriver: "Update the node's driver, or set spec.model.vllm.image to a vLLM image built for its CUDA.",
    Reason.UnsupportedGpu: "Choose a newer card in spec.model.vllm.gpu.product, or write --dtype=half into spec.model.vllm.args.",
    Reason.GpuOutOfMemory: "Use more GPU memory (spec.model.vllm.gpu), a smaller model, or a lower spec.model.vllm.maxModelTokens.",
    Reason.SharedMemoryTooSmall: "Raise spec.model.vllm.sharedMemory, and the memory limit with it.",
    Reason.CacheFull: "Raise spec.model.vllm.cache.size.",
    Reason.WeightsMissing: "Check spec.model.name, spec.model.revision and spec.model.vllm.source.",
    Reason.UnsupportedModel: "Set spec.model.vllm.image to a newer vLLM, or choose another model.",
    Reason.RemoteCodeRefused: "Read the model's code; then set spec.model.vllm.trustRemoteCode, or choose another model.",
    Reason.UnsupportedQuantization: "Leave --quantization out of spec.model.vllm.args, or choose other weights.",
    Reason.ContextTooLong: "Lower spec.model.vllm.maxModelTokens to what the message names.",
    Reason.LoadDeadlineExceeded: "Raise spec.model.vllm.loadDeadlineSeconds, or look in the log at what takes so long.",
    Reason.EngineStalled: "Read the log of the pod that the message names; the engine is started anew by itself.",
    Reason.EngineCrashed: "Read the log of the pod that the message names (kubectl logs --previous).",
    Reason.ModelUnreachable: "Check url, key and network of the model server that the message names.",
    Reason.ModelDownloadUnauthorized: "Put a token or keys that may read the model into the Secret that the message names.",
    Reason.ModelNotFound: "Correct spec.model.name, spec.model.revision or spec.model.vllm.source, as the message says.",
    Reason.ModelCacheFull: "Raise spec.model.vllm.cache.size to what the message says.",
    Reason.ModelDownloadFailed: "Check that the namespace may reach the model's source; the message says what it answered.",
    Reason.ApiUnreachable: "Check that the operator may reach the API pods (NetworkPolicy, network).",
    Reason.RevisionMismatch: "Wait; when it stays, the message names the pod and what it serves instead.",
    Reason.VectorStoreUnreachable: "Check spec.vectorStore.external.url, and that the namespace may reach it.",
    Reason.VectorStoreUnauthorized: "Put the right key into the Secret that apiKeySecretRef of the vector store names.",
    Reason.VectorStoreRefused: "The message repeats what Qdrant says; often its limits or its disk.",
    Reason.UnsupportedVectorStore: "Run the Qdrant version that the message names, or a newer one.",
    Reason.CollectionMissing: "Wait: the index is built anew.",
    Reason.CollectionLost: "Remove spec.rollback.index, or put the old index back into spec.index to have it built.",
    Reason.CollectionConflict: "Another index has this collection: give the index a new spec.index.version.",
    Reason.CollectionDamaged: "Delete the collection, or give the index a new spec.index.version.",
    Reason.InsufficientSpace: "Grow spec.vectorStore.qdrant.storage.size, lower spec.release.history, or index fewer documents.",
    Reason.AliasTaken: "Something else in the vector store bears the name for outside readers: remove it, as the message says.",
    Reason.AliasMoved: "Somebody else moves the alias of outside readers: leave it to the sweep Job, which tries again.",
    Reason.EmbeddingUnreachable: "Check spec.index.embedding.external.url, the server, and that the namespace may reach it.",
    Reason.EmbeddingUnauthorized: "Put a good key into the Secret that spec.index.embedding.external.apiKeySecretRef names.",
    Reason.EmbeddingModelNotFound: "Correct spec.index.embedding.external.url or spec.index.embedding.external.model.",
    Reason.EmbeddingRefused: "The message says what was refused; often texts too long: lower spec.index.chunking.maxCharacters.",
    Reason.EmbeddingDimensionWrong: "Set spec.index.embedding.external.dimension to what the model makes, as the message says.",
    Reason.DocumentsMissing: "Check the claim and the path in spec.index.documents.",
    Reason.NoDocuments: "Put documents (Markdown, text, HTML) where spec.index.documents points.",
    Reason.TooManyDocuments: "Split the documents over several RagServices.",
    Reason.InvalidSettings: "Correct the field of spec.index that the message names.",
    Reason.VerificationFailed: "Read the log of the index Job; give the index a new spec.index.version to build it anew.",
    Reason.NotBuilt: "Wait: the index is built anew.",
    Reason.Interrupted: "Wait: the index Job was stopped from outside and goes on where it was.",
    Reason.DeadlineExceeded: "Raise spec.index.deadlineSeconds or spec.index.resources, or index fewer documents.",
    Reason.IndexFailed: "Read the log of the index Job.",
    Reason.InternalError: "A fault of the software: see the log that the message names, and report it.",
}
