"""Invented sentences in the style of chest X-ray reports, to check text encoders with by default.

Written for this project: no patient's, no data set's. Lengths vary as those of reports do.
"""

SENTENCES = (
    "The heart is normal in size.",
    "No acute cardiopulmonary process.",
    "The lungs are clear without focal consolidation, effusion or pneumothorax.",
    "There is a small left pleural effusion with adjacent atelectasis.",
    "Moderate cardiomegaly is unchanged since the earlier study.",
    "Patchy opacity in the right lower lobe, suspicious for pneumonia in the right clinical setting.",
    "Endotracheal tube ends about four centimetres above the carina.",
    "Mild pulmonary vascular congestion without frank oedema.",
    "The mediastinal contours are within normal limits.",
    "Degenerative changes of the thoracic spine.",
    "Low lung volumes with crowding of the bronchovascular structures.",
    "Right internal jugular catheter ends in the superior vena cava.",
    "No displaced rib fracture is seen.",
    "A calcified granuloma in the left upper lobe is stable.",
    "Hyperinflated lungs with flattened diaphragms, consistent with chronic obstructive disease.",
    "Small right apical pneumothorax; repeat imaging in six hours is advised.",
    "Bilateral interstitial opacities, more at the bases, may be oedema or atypical infection.",
    "The patient is rotated, which limits the view of the mediastinum.",
    "Sternotomy wires are intact and aligned.",
    "A left-sided pacemaker has leads in the right atrium and the right ventricle.",
    "Linear opacity at the left base most likely is scarring.",
    "Large right pleural effusion with shift of the mediastinum to the left.",
    "Hilar fullness on the right; CT is recommended to exclude a mass.",
    "The aorta is tortuous and calcified.",
    "No free air under the diaphragm.",
    "Nasogastric tube courses below the diaphragm, its tip out of view.",
    "Round nodule of about one centimetre in the right middle zone, not seen before.",
    "Interval improvement of the left lower lobe consolidation.",
    "Elevation of the right hemidiaphragm is again noted.",
    "Multifocal ground-glass opacities with peripheral predominance.",
    "Cough and fever for three days.",
    "Shortness of breath, history of heart failure.",
    "Chest pain after a fall; rule out fracture.",
    "Evaluate for pneumonia.",
    "Follow-up of known lung nodule.",
    "Routine study before an operation.",
    "Status after right upper lobectomy with expected volume loss.",
    "Findings: clear lungs. Normal heart. Impression: normal chest radiograph.",
    (
        "Findings: the cardiac silhouette is enlarged. Kerley B lines, small bilateral effusions. "
        "Impression: heart failure with interstitial oedema."
    ),
    (
        "Findings: dense consolidation of the lingula with air bronchograms. Impression: lobar pneumonia; "
        "follow up after treatment to make sure that it clears."
    ),
    (
        "Findings: tubes and lines in place as before. Slightly better aeration of both bases. "
        "Impression: improving atelectasis, no new focal disease."
    ),
    (
        "Compared with the previous film the effusion has grown, and there is now compressive atelectasis of "
        "the left lower lobe."
    ),
    "Subcutaneous emphysema along the right chest wall.",
    "The osseous structures are unremarkable.",
    "Hiatal hernia behind the heart.",
    "Biapical pleural thickening, symmetric.",
    "Widened mediastinum; CT angiography should be considered.",
    "Chest tube on the left in unchanged position, no residual pneumothorax.",
    "Miliary nodules throughout both lungs.",
    "Cavitary lesion in the right upper lobe with surrounding opacity; consider tuberculosis.",
    "Bronchial wall thickening and bronchiectasis at the bases.",
    "Azygos lobe, a normal variant.",
    "Old healed fracture of the left clavicle.",
    "Unchanged position of the tracheostomy tube.",
    "Lungs: no nodule. Pleura: no effusion. Heart: normal. Bones: no lesion.",
    "Right lower lobe collapse, probably from mucus plugging.",
    "Retrocardiac opacity obscures the left hemidiaphragm.",
    "Portable view in supine position; small effusions may be missed.",
    "Oedema has resolved and heart size has decreased.",
    "Normal chest.",
)
