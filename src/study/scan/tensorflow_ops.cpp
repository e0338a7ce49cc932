// The operations of TensorFlow that only compute, or keep variables and tables, by name; what is on neither list is
// told as unknown. Gathered from the tables of tensorflowjs and tf2onnx, which carry out or translate them, and from
// the operations that savers, optimisers and loops leave in saved models.
#include "tensorflow_ops.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <set>
#include <sstream>
#include <string>

namespace freehold::scan {
namespace {

constexpr const char* kComputing =
    "Abs AccumulateNV2 Acos Acosh Add AddN AddSparseToTensorsMap AddV2 AdjustContrast AdjustContrastv2 AdjustHue "
    "AdjustSaturation All AllCandidateSampler AnonymousHashTable AnonymousIteratorV2 AnonymousIteratorV3 "
    "AnonymousMutableDenseHashTable AnonymousMutableHashTable AnonymousRandomSeedGenerator AnonymousSeedGenerator "
    "Any ApplyAdaMax ApplyAdadelta ApplyAdagrad ApplyAdam ApplyAddSign ApplyCenteredRMSProp ApplyFtrl "
    "ApplyGradientDescent ApplyMomentum ApplyPowerSign ApplyProximalAdagrad ApplyProximalGradientDescent "
    "ApplyRMSProp ApproxTopK ApproximateEqual ArgMax ArgMin AsString Asin Asinh Assert Assign AssignAdd "
    "AssignAddVariableOp AssignSub AssignSubVariableOp AssignVariableOp Atan Atan2 Atanh AudioSpectrogram "
    "AudioSummaryV2 BesselI0 BesselI0e BesselI1 BesselI1e BesselJ0 BesselJ1 BesselK0 BesselK0e BesselK1 BesselK1e "
    "BesselY0 BesselY1 Betainc BiasAdd BiasAddGrad BiasAddV1 Bincount Bitcast BlockLSTM BlockLSTMV2 BroadcastArgs "
    "BroadcastGradientArgs BroadcastTo Bucketize CSRSparseMatrixToDense CTCBeamSearchDecoder CTCGreedyDecoder "
    "CTCLoss CTCLossV2 Case CaseFoldUTF8 Cast Ceil CheckNumerics CheckNumericsV2 Cholesky CholeskyGrad "
    "ClipByValue CombinedNonMaxSuppression CombinedNonMaxSuppressionV2 Complex ComplexAbs ComputeAccidentalHits "
    "Concat ConcatOffset ConcatV2 Conj ConjugateTranspose Const ConsumeMutexLock ControlTrigger Copy Cos Cosh "
    "CropAndResize CropAndResizeGradBoxes CropAndResizeGradImage Cross Cumprod Cumsum CumulativeLogsumexp "
    "DataFormatDimMap DataFormatVecPermute Dawsn DecodeAndCropJpeg DecodeBase64 DecodeBmp DecodeCSV "
    "DecodeCompressed DecodeGif DecodeImage DecodeJSONExample DecodeJpeg DecodePaddedRaw DecodePng DecodeProtoV2 "
    "DecodeRaw DecodeWav DeepCopy DeleteIterator DenseBincount DenseToDenseSetOperation DepthToSpace "
    "DepthwiseConv2d DepthwiseConv2dNative DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput "
    "Dequantize DestroyResourceOp DestroyTemporaryVariable Diag DiagPart Digamma Dilation2D DisableCopyOnRead Div "
    "DivNoNan DrawBoundingBoxes DrawBoundingBoxesV2 DummySeedGenerator DynamicPartition DynamicStitch "
    "EditDistance Eig Einsum Elu EluGrad Empty EmptyTensorList EmptyTensorMap EncodeBase64 EncodeJpeg EncodePng "
    "EncodeProto EncodeWav EnsureShape Enter Equal Erf Erfc Erfinv EuclideanNorm Exit Exp ExpandDims Expint Expm1 "
    "ExtractGlimpse ExtractGlimpseV2 ExtractImagePatches ExtractJpegShape ExtractVolumePatches FFT FFT2D FFT3D "
    "FIFOQueue FIFOQueueV2 Fact FakeParam Fill Fingerprint Floor FloorDiv FloorMod For FractionalAvgPool "
    "FractionalMaxPool FresnelCos FresnelSin FusedDepthwiseConv2dNative FusedPadConv2D FusedResizeAndPadConv2D "
    "GRUBlockCell GRUBlockCellGrad Gather GatherNd GatherV2 GenerateBoundingBoxProposals GetSessionHandle "
    "GetSessionTensor Greater GreaterEqual GuaranteeConst HSVToRGB HashTable HashTableV2 HistogramFixedWidth "
    "HistogramSummary HostConst IFFT IFFT2D IFFT3D IRFFT IRFFT2D IRFFT3D Identity IdentityN If Igamma IgammaGradA "
    "Igammac Imag ImageProjectiveTransformV2 ImageProjectiveTransformV3 ImageSummary InTopK "
    "InTopKV2 InitializeTable InitializeTableFromTextFile InitializeTableFromTextFileV2 InitializeTableV2 "
    "InplaceAdd InplaceSub InplaceUpdate Inv InvGrad Invert InvertPermutation IsBoostedTreesEnsembleInitialized "
    "IsFinite IsInf IsNan IsTensorListInitialized IsVariableInitialized IsotonicRegression Iterator "
    "IteratorGetNext IteratorGetNextSync IteratorV2 L2Loss LRN LRNGrad LSTMBlockCell LSTMBlockCellGrad LeakyRelu "
    "LeakyReluGrad LearnedUnigramCandidateSampler LeftShift Less LessEqual Lgamma LinSpace ListDiff Log Log1p "
    "LogMatrixDeterminant LogSoftmax LogUniformCandidateSampler LogicalAnd LogicalNot LogicalOr LoopCond "
    "LowerBound Lu MakeIterator MapDataset MapDefun MatMul Max Maximum Mean Merge MergeSummary MergeV2Checkpoints "
    "Mfcc Min Minimum MirrorPad MirrorPadGrad Mod ModelDataset Mul MulNoNan Multinomial MutableDenseHashTableV2 "
    "MutableHashTable MutableHashTableOfTensorsV2 MutableHashTableV2 Mutex MutexLock MutexV2 Ndtri Neg NegTrain "
    "NextAfter NextIteration NoOp NormalizeUTF8 NotEqual NthElement OneHot OneShotIterator OnesLike "
    "OptimizeDatasetV2 OptionalFromValue OptionalGetValue OptionalHasValue OptionalNone OptionsDataset Pack Pad "
    "PadV2 PaddingFIFOQueueV2 ParallelConcat ParallelDynamicStitch ParallelMapDatasetV2 "
    "ParameterizedTruncatedNormal ParseExample ParseExampleV2 ParseSequenceExample ParseSequenceExampleV2 "
    "ParseSingleExample ParseSingleSequenceExample ParseTensor PartitionedCall Placeholder PlaceholderV2 "
    "PlaceholderWithDefault Polygamma PopulationCount Pow PrefetchDataset Prelu PreventGradient Print PrintV2 "
    "PriorityQueueV2 Prod Qr QueueCloseV2 QueueDequeueManyV2 QueueDequeueUpToV2 QueueDequeueV2 QueueEnqueueManyV2 "
    "QueueEnqueueV2 QueueSizeV2 RFFT RFFT2D RFFT3D RGBToHSV RandomCrop RandomGamma RandomGammaGrad "
    "RandomIndexShuffle RandomPoisson RandomPoissonV2 RandomShuffle RandomShuffleQueueV2 RandomStandardNormal "
    "Range RangeDataset Rank ReadVariableOp ReadVariableXlaSplitND Real RealDiv Reciprocal ReciprocalGrad "
    "ReduceDataset ReduceJoin RefEnter RefExit RefIdentity RefMerge RefNextIteration RefSelect RefSwitch "
    "RegexFullMatch RegexReplace RegexSplitWithOffsets Relu Relu6 Relu6Grad ReluGrad RepeatDataset Reshape "
    "ResizeArea ResizeBicubic ResizeBicubicGrad ResizeBilinear ResizeBilinearGrad ResizeNearestNeighbor "
    "ResizeNearestNeighborGrad ResourceGather ResourceGatherNd Restore RestoreSlice RestoreV2 Reverse "
    "ReverseSequence ReverseV2 RightShift Rint RngReadAndSkip RngSkip Roll Round Rsqrt RsqrtGrad "
    "SampleDistortedBoundingBox SampleDistortedBoundingBoxV2 Save SaveSlices SaveV2 ScalarSummary "
    "ScaleAndTranslate ScaleAndTranslateGrad Select SelectV2 SelfAdjointEig SelfAdjointEigV2 Selu SeluGrad "
    "SentencepieceDetokenizeOp SentencepieceOp SentencepieceTokenizeOp SerializeManySparse SerializeSparse "
    "SerializeTensor SetSize Shape ShapeN ShardedFilename ShardedFilespec ShuffleDatasetV3 Sigmoid SigmoidGrad "
    "Sign Sin Sinh Size Skipgram Slice Snapshot Softmax SoftmaxCrossEntropyWithLogits Softplus SoftplusGrad "
    "Softsign SoftsignGrad SpaceToBatch SpaceToBatchND SpaceToDepth Spence Split SplitV Sqrt SqrtGrad Square "
    "SquaredDifference SquaredDistance Squeeze StackCloseV2 StackPopV2 StackPushV2 StackV2 "
    "StatefulPartitionedCall StatefulRandomBinomial StatefulStandardNormal StatefulStandardNormalV2 "
    "StatefulTruncatedNormal StatefulUniform StatefulUniformFullInt StatefulUniformInt StaticRegexFullMatch "
    "StaticRegexReplace StopGradient StridedSlice StridedSliceAssign StridedSliceGrad StringFormat StringJoin "
    "StringLength StringLower StringNGrams StringSplit StringSplitV2 StringStrip StringToHashBucket "
    "StringToHashBucketFast StringToHashBucketStrong StringToNumber StringUpper Sub Substr Sum Svd Switch "
    "SymbolicGradient SyncDevice Tan Tanh TanhGrad TemporaryVariable TensorDataset TensorSliceDataset "
    "TensorStridedSliceUpdate TensorSummary TensorSummaryV2 ThreadUnsafeUnigramCandidateSampler Tile TileGrad "
    "Timestamp ToBool TopK TopKV2 Transpose TridiagonalMatMul TridiagonalSolve TruncateDiv TruncateMod "
    "TruncatedNormal Unbatch UnbatchGrad UnicodeDecode UnicodeDecodeWithOffsets UnicodeEncode UnicodeScript "
    "UnicodeTranscode Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2 Unpack UnravelIndex UpperBound "
    "VarHandleOp VarIsInitializedOp Variable VariableShape VariableV2 Where While WhitespaceTokenizeWithOffsetsV2 "
    "WordpieceTokenizeWithOffsets Xdivy Xlog1py Xlogy ZerosLike Zeta ZipDataset _FusedConv2D _FusedMatMul ";

// Families of which all members compute.
constexpr std::array<std::string_view, 33> kFamilies = {"AvgPool",
                                                        "Batch",
                                                        "Bitwise",
                                                        "BoostedTrees",
                                                        "Conv",
                                                        "Cudnn",
                                                        "FakeQuant",
                                                        "FusedBatchNorm",
                                                        "LookupTable",
                                                        "Matrix",
                                                        "MaxPool",
                                                        "NonMaxSuppression",
                                                        "Quantize",
                                                        "Quantized",
                                                        "Ragged",
                                                        "RandomUniform",
                                                        "ResourceAccumulator",
                                                        "ResourceApply",
                                                        "ResourceConditionalAccumulator",
                                                        "ResourceScatter",
                                                        "ResourceSparseApply",
                                                        "ResourceStridedSlice",
                                                        "Scatter",
                                                        "Segment",
                                                        "Sparse",
                                                        "SparseSegment",
                                                        "Stateless",
                                                        "TensorArray",
                                                        "TensorList",
                                                        "TensorMap",
                                                        "TensorScatter",
                                                        "Uniform",
                                                        "Unsorted"};

// These reach files, addresses or code.
constexpr auto kHarmful = std::to_array<std::string_view>({
    "PyFunc",
    "PyFuncStateless",
    "EagerPyFunc",
    "ReadFile",
    "WriteFile",
    "MatchingFiles",
    "LoadLibrary",
    "DynamicLoadLibrary",
    "DebugIdentity",
    "DebugIdentityV2",
    "DebugIdentityV3",
    "DebugNumericSummary",
    "DumpDebugInfo",
    "WholeFileReader",
    "WholeFileReaderV2",
    "TextLineReader",
    "TextLineReaderV2",
    "TFRecordReader",
    "TFRecordReaderV2",
    "FixedLengthRecordReader",
    "FixedLengthRecordReaderV2",
    "LMDBReader",
    "IdentityReader",
    "ReaderRead",
    "ReaderReadV2",
    "ReaderReadUpTo",
    "ReaderReadUpToV2",
    "RecordInput",
    "TextLineDataset",
    "SqlDataset",
    "TFRecordDataset",
    "TFRecordDatasetV2",
    "FixedLengthRecordDataset",
    "FixedLengthRecordDatasetV2",
    "CSVDataset",
    "CSVDatasetV2",
    "LMDBDataset",
    "MatchingFilesDataset",
    "CacheDataset",
    "CacheDatasetV2",
    "SnapshotDataset",
    "SnapshotDatasetV2",
    "SaveDataset",
    "SaveDatasetV2",
    "LoadDataset",
    "DatasetToTFRecord",
    "GeneratorDataset",
    "DataServiceDataset",
    "DataServiceDatasetV2",
    "DataServiceDatasetV3",
    "DataServiceDatasetV4",
    "SummaryWriter",
    "CreateSummaryFileWriter",
    "CreateSummaryDbWriter",
    "WriteSummary",
    "WriteScalarSummary",
    "WriteImageSummary",
    "WriteAudioSummary",
    "WriteHistogramSummary",
    "WriteGraphSummary",
    "WriteRawProtoSummary",
    "ImportEvent",
    "RpcCall",
    "RpcServer",
    "RpcClient",
    "RpcServerStart",
    "RpcServerRegister",
    "Rpc",
    "TryRpc",
    "RemoteCall",
    "BigQueryReader",
    "GcsConfigureBlockCache",
    "GcsConfigureCredentials",
    "Send",
    "Recv",
    "_Send",
    "_Recv",
    "_HostSend",
    "_HostRecv",
    "CollectiveInitializeCommunicator",
    "FixedUnigramCandidateSampler",
    "ImmutableConst",
    "SaveV2Remote",
    "FixedLengthRecordDatasetRemote",
});

const std::set<std::string, std::less<>>& computing() {
    static const std::set<std::string, std::less<>> names = [] {
        std::istringstream text(kComputing);
        return std::set<std::string, std::less<>>(std::istream_iterator<std::string>(text), {});
    }();
    return names;
}

}  // namespace

TensorflowOp tensorflow_op(std::string_view name) {
    if (name.empty() || (name.front() != '_' && (name.front() < 'A' || name.front() > 'Z')))
        return TensorflowOp::unknown;
    if (std::ranges::find(kHarmful, name) != kHarmful.end()) return TensorflowOp::harmful;
    const bool family = std::ranges::any_of(kFamilies, [&](std::string_view f) { return name.starts_with(f); });
    // Data sets read files, whatever family they begin like; those that do not are named one by one.
    if (family && !name.ends_with("Dataset") && name.find("Dataset") == std::string_view::npos)
        return TensorflowOp::computing;
    return computing().contains(name) ? TensorflowOp::computing : TensorflowOp::unknown;
}

}  // namespace freehold::scan
